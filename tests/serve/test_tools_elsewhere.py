"""Tools of `/v1/responses` and `/v1/messages`: called, told back, streamed, refused."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import jsonschema
import openai
import pytest

from aboard.engine import Model, load
from serve.events import events_of
from serve.running import Running, running
from serve.tool_schemas import SCHEMAS, WEATHER
from tool_calls.templates import FAMILIES, tiny_caller

FUNCTIONS = [
    {"type": "function", "name": name, "parameters": schema, "strict": True}
    for name, schema in SCHEMAS.items()
]
TOOLS = [{"name": name, "input_schema": schema} for name, schema in SCHEMAS.items()]
ASKED = "How is the weather in Oslo?"
NO_END = {"logit_bias": {"256": -100, "258": -100}}  # of these the answer would end


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("caller") / "tiny.gguf"
    family = FAMILIES["mistral-numbered"]
    return load(tiny_caller(path, family, context=4096), threads=1, context=4096)


@pytest.fixture(scope="module")
def calling(caller: Model) -> Iterator[Running]:
    with running(caller) as server:
        yield server


@pytest.fixture(scope="module")
def responses(calling: Running) -> Iterator[openai.OpenAI]:
    with calling.openai(_strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="module")
def messages(calling: Running) -> Iterator[anthropic.Anthropic]:
    with calling.anthropic(_strict_response_validation=True) as client:
        yield client


def respond(client: openai.OpenAI, extra: dict | None = None, **options: Any):
    options = {
        "model": "tiny",
        "input": ASKED,
        "tools": FUNCTIONS,
        "tool_choice": "required",
        "max_output_tokens": 300,
        "extra_body": {"seed": 1} | (extra or {}),
    } | options
    return client.responses.create(**options)


def message(client: anthropic.Anthropic, extra: dict | None = None, **options: Any):
    options = {
        "model": "tiny",
        "messages": [{"role": "user", "content": ASKED}],
        "tools": TOOLS,
        "tool_choice": {"type": "any"},
        "max_tokens": 300,
        "extra_body": {"seed": 1} | (extra or {}),
    } | options
    return client.messages.create(**options)


def test_a_response_calls_functions_with_arguments_that_validate(responses) -> None:
    response = respond(responses)

    assert (response.status, response.output_text) == ("completed", "")
    assert response.output
    for call in response.output:
        assert (call.type, call.status) == ("function_call", "completed")
        jsonschema.validate(json.loads(call.arguments), SCHEMAS[call.name])
    assert [tool.name for tool in response.tools] == ["weather", "now"]
    assert response.tool_choice == "required"


def test_what_functions_return_follows_on_their_calls(responses, caller: Model) -> None:
    first = respond(responses, parallel_tool_calls=False)
    (call,) = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    rest = {"tool_choice": "none", "max_output_tokens": 10, "temperature": 0}

    kept = respond(responses, NO_END, input=[result], previous_response_id=first.id, **rest)
    asked = {"role": "user", "content": ASKED}
    sent = respond(responses, NO_END, input=[asked, *first.output, result], **rest)

    function = {"name": call.name, "arguments": call.arguments}
    made = {"id": call.call_id, "type": "function", "function": function}
    said = [
        asked,
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.call_id, "content": "It rains."},
    ]
    tools = [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in SCHEMAS.items()
    ]
    assert kept.usage.input_tokens == len(caller.chat_tokens(said, tools=tools))
    assert kept.output_text == sent.output_text != ""
    assert kept.usage.input_tokens == sent.usage.input_tokens


def test_a_streamed_response_calls_as_the_whole_one_does(responses, calling: Running) -> None:
    whole = respond(responses)
    body = {"model": "tiny", "input": ASKED, "tools": FUNCTIONS, "tool_choice": "required"}

    events = events_of(calling, "/v1/responses", body | {"seed": 1, "max_output_tokens": 300})

    items = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert items == events[-1]["response"]["output"]
    assert [(item["name"], item["arguments"]) for item in items] == [
        (call.name, call.arguments) for call in whole.output
    ]
    for place, item in enumerate(items):
        of_it = [each for each in events if each.get("output_index") == place]
        kinds = list(dict.fromkeys(each["type"] for each in of_it))
        assert kinds == [
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        assert of_it[0]["item"] == item | {"arguments": "", "status": "in_progress"}
        assert "".join(each.get("delta", "") for each in of_it) == item["arguments"]
        assert of_it[-2]["arguments"] == item["arguments"]


def test_the_openai_clients_own_reader_of_streams_comes_to_the_same(responses) -> None:
    whole = respond(responses)
    options = {"model": "tiny", "input": ASKED, "tools": FUNCTIONS, "tool_choice": "required"}

    with responses.responses.stream(
        **options, max_output_tokens=300, extra_body={"seed": 1}
    ) as stream:
        final = stream.get_final_response()

    assert [call.parsed_arguments for call in final.output] == [
        json.loads(call.arguments) for call in whole.output
    ]


def test_a_call_of_a_response_that_is_cut_is_incomplete(responses) -> None:
    response = respond(responses, max_output_tokens=14)

    assert response.status == "incomplete"
    assert response.output[-1].status == "incomplete"
    with pytest.raises(openai.BadRequestError, match="was cut: nothing follows on it"):
        respond(responses, input="And?", previous_response_id=response.id)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "now"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "now"}],
        },
    ],
)
def test_a_response_calls_only_what_is_chosen(responses, choice: dict) -> None:
    response = respond(responses, tool_choice=choice)

    assert {call.name for call in response.output} == {"now"}
    assert response.tool_choice.to_dict() == choice
    if choice["type"] == "function":
        assert len(response.output) == 1


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"tools": [{"type": "custom", "name": "a"}]}, "tools[0].type", None),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", None),
        ({"tools": [FUNCTIONS[0] | {"name": "a b"}]}, "tools[0].name", None),
        (
            {"tools": [FUNCTIONS[0] | {"parameters": {"type": "string"}}]},
            "tools[0].parameters",
            None,
        ),
        (
            {"tools": [FUNCTIONS[0] | {"parameters": {"properties": 5}}]},
            "tools[0].parameters",
            "invalid_grammar",
        ),
        ({"tools": [FUNCTIONS[0], FUNCTIONS[0]]}, "tools", None),
        ({"tools": []}, "tool_choice", None),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice", None),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type", None),
    ],
)
def test_what_is_wrong_of_functions_is_refused_by_name(responses, given: dict, param, code) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        respond(responses, **given)

    assert (caught.value.param, caught.value.code) == (param, code or "invalid_value")


def test_a_message_uses_tools_with_input_that_validates(messages) -> None:
    answer = message(messages)

    assert (answer.stop_reason, answer.stop_sequence) == ("tool_use", None)
    assert answer.content
    for use in answer.content:
        assert use.type == "tool_use"
        jsonschema.validate(use.input, SCHEMAS[use.name])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"content": "It rains."}, "It rains."),
        (
            {"content": [{"type": "text", "text": "It"}, {"type": "text", "text": "rains."}]},
            "It\nrains.",
        ),
        ({"content": "No such city.", "is_error": True}, "Error: No such city."),
        ({}, ""),
    ],
)
def test_what_tools_return_is_told_to_the_model(
    messages, caller: Model, content: dict, told: str
) -> None:
    one = {"type": "any", "disable_parallel_tool_use": True}
    first = message(messages, tool_choice=one)
    (use,) = first.content
    asked = {"role": "user", "content": ASKED}
    result = {"type": "tool_result", "tool_use_id": use.id} | content
    turns = [
        asked,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
    ]

    answer = message(messages, NO_END, messages=turns, tool_choice={"type": "none"}, max_tokens=10)
    count = messages.messages.count_tokens(model="tiny", messages=turns, tools=TOOLS)

    made = {
        "id": use.id,
        "type": "function",
        "function": {"name": use.name, "arguments": use.input},
    }
    said = [
        asked,
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": use.id, "content": told},
        {"role": "user", "content": "And?"},
    ]
    tools = [
        {"type": "function", "function": {"name": name, "parameters": schema}}
        for name, schema in SCHEMAS.items()
    ]
    assert count.input_tokens == len(caller.chat_tokens(said, tools=tools))
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens == count.input_tokens
    assert [block.type for block in answer.content] == ["text"]


def test_a_streamed_message_uses_tools_as_the_whole_one_does(messages, calling: Running) -> None:
    whole = message(messages)
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": ASKED}],
        "tools": TOOLS,
        "tool_choice": {"type": "any"},
        "max_tokens": 300,
        "seed": 1,
    }

    events = events_of(calling, "/v1/messages", body)
    with messages.messages.stream(
        **{name: body[name] for name in body if name != "seed"}, extra_body={"seed": 1}
    ) as stream:
        final = stream.get_final_message()

    for place, use in enumerate(whole.content):
        of_it = [each for each in events if each.get("index") == place]
        assert of_it[0]["content_block"] == {
            "type": "tool_use",
            "id": of_it[0]["content_block"]["id"],
            "name": use.name,
            "input": {},
        }
        told = "".join(each["delta"]["partial_json"] for each in of_it[1:-1])
        assert json.loads(told) == use.input
        assert of_it[-1]["type"] == "content_block_stop"
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert [(use.name, use.input) for use in final.content] == [
        (use.name, use.input) for use in whole.content
    ]


def test_a_use_of_a_tool_that_is_cut_is_left_out(messages) -> None:
    answer = message(messages, max_tokens=14)

    assert (answer.stop_reason, answer.content) == ("max_tokens", [])


def test_a_message_uses_only_the_tool_that_is_chosen(messages) -> None:
    answer = message(messages, tool_choice={"type": "tool", "name": "now"})

    assert [use.name for use in answer.content] == ["now"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tools": [{"name": "a b", "input_schema": WEATHER}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "a", "input_schema": {"type": "string"}}]}, "tools[0].input_schema"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools"),
        ({"tools": [TOOLS[0] | {"input_examples": []}]}, "tools[0].input_examples"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "tool_result", "tool_use_id": "a", "content": "x"},
                        ],
                    }
                ]
            },
            "messages[0].content[1]",
        ),
    ],
)
def test_what_is_wrong_of_tools_is_refused_by_name(messages, given: dict, named: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        message(messages, **given)

    assert caught.value.body["error"]["message"].startswith(named)
