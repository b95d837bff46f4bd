"""The cases by which Open Responses tells whether a server complies (openresponses.org/compliance).

A tiny model of random weights ends no answer by itself, and calls tools only where it must: it is
made to by `logit_bias` and `tool_choice`.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from aboard.engine import load
from serve.events import events_of
from serve.running import Running, running
from tool_calls.templates import FAMILIES, tiny_caller

REQUIRED = {  # of ResponseResource
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "reasoning", "user", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata"),
    *("safety_identifier", "prompt_cache_key"),
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state"}},
        "required": ["location"],
    },
}
ENDING = {"seed": 1, "logit_bias": {"258": 8}}
CALLING = {"seed": 1, "tools": [WEATHER], "tool_choice": "required"}
TEXTS = {
    "basic-response": [("user", "Say hello in exactly 3 words.")],
    "system-prompt": [
        ("system", "You are a pirate. Always respond in pirate speak."),
        ("user", "Say hello."),
    ],
    "multi-turn": [
        ("user", "My name is Alice."),
        ("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
        ("user", "What is my name?"),
    ],
}
_event = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def complying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("complying") / "tiny.gguf"
    model = load(tiny_caller(path, FAMILIES["hermes"], context=4096), threads=1, context=4096)
    with running(model) as server:
        yield server


def asked(said: list[tuple[str, str]], **options: Any) -> dict[str, Any]:
    items = [{"type": "message", "role": role, "content": text} for role, text in said]
    return {"model": "tiny", "input": items} | options


def checked(response: dict[str, Any]) -> dict[str, Any]:
    """A response that has all that it must have, each as it must be."""
    assert set(response) >= REQUIRED
    Response.model_validate(response, strict=True)
    assert response["status"] == "completed"
    assert response["output"]
    return response


@pytest.mark.parametrize("name", TEXTS)
def test_a_conversation_is_answered(complying: Running, name: str) -> None:
    with complying.http() as http:
        answer = http.post("/v1/responses", json=asked(TEXTS[name], **ENDING))

    assert answer.status_code == 200
    assert checked(answer.json())["output"][0]["type"] == "message"


def test_streaming_response(complying: Running) -> None:
    body = asked([("user", "Count from 1 to 5.")], **ENDING)

    events = events_of(complying, "/v1/responses", body)

    for event in events:
        _event.validate_python(event)
    assert events[-1]["type"] == "response.completed"
    checked(events[-1]["response"])


def test_tool_calling(complying: Running) -> None:
    body = asked([("user", "What's the weather like in San Francisco?")], **CALLING)

    with complying.http() as http:
        answer = http.post("/v1/responses", json=body)

    assert answer.status_code == 200
    assert "function_call" in {item["type"] for item in checked(answer.json())["output"]}


def test_tool_calling_streaming(complying: Running) -> None:
    body = asked([("user", "What's the weather like in San Francisco?")], **CALLING)

    events = events_of(complying, "/v1/responses", body)

    for event in events:
        _event.validate_python(event)
    kinds = [(event["type"], event.get("item", {}).get("type")) for event in events]
    assert {
        ("response.output_item.added", "function_call"),
        ("response.function_call_arguments.delta", None),
        ("response.function_call_arguments.done", None),
        ("response.output_item.done", "function_call"),
    } <= set(kinds)
    checked(events[-1]["response"])


def test_image_input_is_refused_by_name(complying: Running) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    content = [{"type": "input_text", "text": "What do you see in this image?"}, picture]
    body = {"model": "tiny", "input": [{"type": "message", "role": "user", "content": content}]}

    with complying.http() as http:
        answer = http.post("/v1/responses", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (
        400,
        "input[0].content[1].type",
    )
