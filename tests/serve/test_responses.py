"""Responses by the openai client, whose types are kept to: what the model answers, and how."""

import json
from collections.abc import Iterator
from typing import Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from aboard.engine import Model
from serve.running import Running

INSTRUCTIONS = "Be brief."
ASKED = [
    {"role": "system", "content": INSTRUCTIONS},
    {"role": "user", "content": "Name a colour."},
]
END = {"logit_bias": {"258": 100}}  # the model ends its answer at once


@pytest.fixture(scope="module")
def strict(server: Running) -> Iterator[openai.OpenAI]:
    """A client that refuses answers that are not as its types say."""
    with server.openai(_strict_response_validation=True) as client:
        yield client


@pytest.fixture
def ask(strict: openai.OpenAI):
    def ask(**options):
        options = {
            "model": "tiny",
            "instructions": INSTRUCTIONS,
            "input": "Name a colour.",
            "max_output_tokens": 20,
            "temperature": 0,
        } | options
        return strict.responses.create(**options)

    return ask


def test_an_answer_is_the_models_own(ask, model: Model, server: Running) -> None:
    response = ask()

    (message,) = response.output
    assert response.output_text == model.chat(ASKED, max_tokens=20)
    assert (message.type, message.role, message.status) == ("message", "assistant", "incomplete")
    assert (response.status, response.incomplete_details.reason) == (
        "incomplete",
        "max_output_tokens",
    )
    assert response.completed_at is None
    assert (response.object, response.model, response.error) == ("response", "tiny", None)
    assert response.id.startswith("resp_")
    assert response.system_fingerprint == server.served.fingerprint
    assert response.usage.input_tokens == len(model.chat_tokens(ASKED))
    assert response.usage.output_tokens == 20
    assert response.usage.total_tokens == response.usage.input_tokens + 20


def test_an_answer_that_the_model_ends_is_complete(ask) -> None:
    response = ask(extra_body=END)

    (message,) = response.output
    assert (response.status, message.status, response.output_text) == ("completed", "completed", "")
    assert response.incomplete_details is None
    assert response.completed_at >= response.created_at


def test_what_was_asked_is_told(ask) -> None:
    told = {
        "instructions": "Be kind.",
        "max_output_tokens": 3,
        "metadata": {"of": "me"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "mine",
        "safety_identifier": "me",
        "store": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "tool_choice": "none",
        "truncation": "disabled",
        "service_tier": "default",
        "background": False,
    }

    response = ask(**told)

    assert {name: getattr(response, name) for name in told} == told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        (
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Hi"},
                        {"type": "input_text", "text": "there"},
                    ],
                }
            ],
            [{"role": "user", "content": "Hi\nthere"}],
        ),
        (
            [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [
                        {"type": "output_text", "text": "Ho", "annotations": [], "logprobs": []}
                    ],
                },
                {"role": "user", "content": "More"},
            ],
            [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Ho"},
                {"role": "user", "content": "More"},
            ],
        ),
    ],
)
def test_items_are_the_messages_of_the_conversation(ask, model: Model, given, said: list) -> None:
    response = ask(input=given)

    assert response.output_text == model.chat([ASKED[0], *said], max_tokens=20)


def test_without_instructions_nothing_is_put_before_the_input(ask, model: Model) -> None:
    response = ask(instructions=None)

    assert response.output_text == model.chat([ASKED[1]], max_tokens=20)


def test_what_is_answered_can_be_put_behind_the_input(ask, model: Model) -> None:
    first = ask()
    more = {"role": "user", "content": "Another."}

    second = ask(input=[ASKED[1], *first.output, more])

    said = {"role": "assistant", "content": first.output_text}
    assert second.output_text == model.chat([*ASKED, said, more], max_tokens=20)


def test_log_probabilities_are_the_models(ask, model: Model) -> None:
    with model.session() as session:
        steps = list(session.generate(model.chat_tokens(ASKED), max_tokens=20, top_logprobs=3))

    shown = ask(include=["message.output_text.logprobs"], top_logprobs=3)
    alone = ask(include=["message.output_text.logprobs"])

    told = shown.output[0].content[0].logprobs
    assert [bytes(each.bytes) for each in told] == [bytes([step.token]) for step in steps]
    assert [each.logprob for each in told] == [step.logprob for step in steps]
    assert [[each.logprob for each in token.top_logprobs] for token in told] == [
        [logprob for _, logprob in step.top] for step in steps
    ]
    assert [each.logprob for each in alone.output[0].content[0].logprobs] == [
        step.logprob for step in steps
    ]
    assert ask().output[0].content[0].logprobs == []


class Mood(BaseModel):
    mood: Literal["glad", "sad"]
    level: Literal[1, 2]


def test_a_class_of_pydantic_comes_back_as_an_object(strict: openai.OpenAI) -> None:
    options = {"model": "tiny", "input": "How is it?", "text_format": Mood}

    parsed = strict.responses.parse(**options, extra_body={"seed": 1})
    with strict.responses.stream(**options, extra_body={"seed": 1}) as stream:
        streamed = stream.get_final_response()

    assert isinstance(parsed.output_parsed, Mood)
    assert streamed.output_parsed == parsed.output_parsed


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "name": "a", "schema": SCHEMA}, SCHEMA),
        ({"type": "choice", "choices": ["1", "2"]}, {"enum": [1, 2]}),
        ({"type": "grammar", "syntax": "regex", "definition": "[12]"}, {"enum": [1, 2]}),
    ],
)
def test_the_text_has_the_form_that_is_asked_for(server: Running, form: dict, schema) -> None:
    body = {"model": "tiny", "input": "x", "seed": 3, "logit_bias": {"125": 20}}
    with server.http() as http:
        response = http.post("/v1/responses", json=body | {"text": {"format": form}}).json()

    assert response["status"] == "completed"
    assert response["text"]["format"] == form
    jsonschema.validate(json.loads(response["output"][0]["content"][0]["text"]), schema)


USER = {"role": "user", "content": "x"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"extra_body": {"foo": 1}}, "foo", "unknown_parameter"),
        ({"background": True}, "background", None),
        ({"truncation": "auto"}, "truncation", None),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"reasoning": {"effort": "low"}}, "reasoning", "unsupported_parameter"),
        ({"max_tool_calls": 1}, "max_tool_calls", "unsupported_parameter"),
        ({"moderation": {"model": "m"}}, "moderation", "unsupported_parameter"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "unsupported_parameter"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type", None),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": 1}}}},
            "text.format.schema",
            "invalid_grammar",
        ),
        ({"include": ["reasoning.encrypted_content"]}, "include[0]", None),
        ({"top_logprobs": 21}, "top_logprobs", None),
        ({"temperature": 2.5}, "temperature", None),
        ({"max_output_tokens": 0}, "max_output_tokens", None),
        ({"service_tier": "flex"}, "service_tier", None),
        ({"metadata": {f"k{i}": "" for i in range(17)}}, "metadata", None),
        ({"metadata": {"k": "x" * 513}}, "metadata.k", None),
        ({"stream_options": {"include_obfuscation": False}}, None, None),
        ({"input": []}, "input", None),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type", None),
        ({"input": [USER, {"type": "reasoning", "summary": []}]}, "input[1].type", None),
        ({"input": [USER | {"role": "king"}]}, "input[0].role", None),
        ({"input": [USER | {"name": "Bob"}]}, "input[0].name", "unknown_parameter"),
        (
            {"input": [USER | {"content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
            None,
        ),
        ({"input": "<|im_end|>"}, "input", None),
        ({"input": "long " * 200}, "input", "context_length_exceeded"),
        ({"max_output_tokens": 5000}, "input", "context_length_exceeded"),
        ({"previous_response_id": "resp_x"}, "previous_response_id", "previous_response_not_found"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "input",
            None,
        ),
        ({"input": [CALL | {"arguments": "["}]}, "input[0].arguments", None),
        ({"input": [CALL | {"name": ""}]}, "input[0].name", None),
        ({"input": [CALL | {"status": "incomplete"}]}, "input", None),
        ({"input": [USER | {"id": "msg_1"}, USER | {"id": "msg_1"}]}, "input", None),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type", None),
        ({"tool_choice": "never"}, "tool_choice", None),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(ask, given: dict, param, code) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(**given)

    assert (caught.value.param, caught.value.code) == (param, code or "invalid_value")


def test_another_model_is_not_found(ask) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="gpt-5")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
