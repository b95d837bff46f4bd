"""Answers held to a form: by the openai client's own models, whatever the model would say."""

import json
import re
from typing import Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from aboard import Grammar
from aboard.engine import Model
from serve.running import Running

ASKED = [{"role": "user", "content": "Name a colour."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green", "blue"]},
        "share": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["colour", "share"],
    "additionalProperties": False,
}


def named(schema: object, **more: object) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, **more}}


def lark(text: str) -> dict:
    return {"type": "grammar", "syntax": "lark", "definition": text}


def regex(pattern: str) -> dict:
    return {"type": "grammar", "syntax": "regex", "definition": pattern}


@pytest.fixture
def ask(client: openai.OpenAI):
    def ask(**options):
        options = {"model": "tiny", "messages": ASKED, "max_tokens": 200} | options
        return client.chat.completions.create(**options)

    return ask


@pytest.mark.parametrize("strict", [True, False, None])
def test_answers_are_json_that_the_schema_accepts(ask, strict: bool | None) -> None:
    answer = ask(response_format=named(SCHEMA, strict=strict), n=8, seed=3, temperature=1.5)

    texts = [choice.message.content for choice in answer.choices]
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}
    assert len(set(texts)) > 1
    for text in texts:
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))


def test_the_answer_is_the_one_that_the_model_gives_alone(ask, model: Model) -> None:
    options = {"max_tokens": 200, "temperature": 1.0, "seed": 4}
    want = model.chat(ASKED, constraint=Grammar.json_schema(SCHEMA), **options)

    whole = ask(response_format=named(SCHEMA), **options)
    events = list(ask(response_format=named(SCHEMA), stream=True, **options))

    assert whole.choices[0].message.content == want
    assert "".join(event.choices[0].delta.content or "" for event in events) == want


class Paint(BaseModel):
    colour: Literal["red", "green"]
    coats: Literal[1, 2, 3]
    glossy: bool


def test_a_class_of_pydantic_comes_back_as_an_object(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="tiny", messages=ASKED, response_format=Paint, seed=1
    )

    assert isinstance(parsed.choices[0].message.parsed, Paint)


def test_any_json_object_will_do(ask) -> None:
    answer = ask(
        response_format={"type": "json_object"}, logit_bias={str(ord("}")): 100}, temperature=0
    )

    assert json.loads(answer.choices[0].message.content) == {}


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_object", "schema": SCHEMA},
        {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    ],
)
def test_a_schema_needs_no_name(ask, form: dict, model: Model) -> None:
    options = {"max_tokens": 200, "temperature": 1.0, "seed": 4}
    want = model.chat(ASKED, constraint=Grammar.json_schema(SCHEMA), **options)

    answer = ask(response_format=form, **options)

    assert answer.choices[0].message.content == want


def test_an_answer_that_was_cut_says_so(ask) -> None:
    answer = ask(response_format=named(SCHEMA), max_tokens=5, temperature=0)

    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content.lstrip().startswith("{")


def test_text_is_what_it_would_be_without(ask) -> None:
    texts = [
        ask(temperature=0, **form).choices[0].message.content
        for form in ({}, {"response_format": {"type": "text"}})
    ]

    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("form", "param", "code"),
    [
        ({}, "response_format.type", "invalid_value"),
        ({"type": "json_schema"}, "response_format.json_schema", "missing_required_parameter"),
        (
            {"type": "json_schema", "json_schema": {"name": "a"}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}},
            "response_format.json_schema.name",
            "invalid_value",
        ),
        (named("object"), "response_format.json_schema.schema", "invalid_value"),
        (named({}, schemas={}), "response_format.json_schema.schemas", "unknown_parameter"),
        (named({}) | {"strict": True}, "response_format.strict", "unknown_parameter"),
        ({"type": "json_object", "schema": 3}, "response_format.schema", "invalid_value"),
        ({"type": "json_object", "schemas": {}}, "response_format.schemas", "unknown_parameter"),
    ],
)
def test_a_form_that_is_none_is_refused(ask, form: dict, param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(response_format=form)

    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("form", "param", "code", "told"),
    [
        (
            named({"properties": {"a": {"type": "king"}}}),
            "response_format.json_schema.schema",
            "invalid_grammar",
            "king",
        ),
        (
            named({"properties": {"a": {"$dynamicRef": "#a"}}}),
            "response_format.json_schema.schema",
            "unsupported_schema",
            "/properties/a",
        ),
        (named(False), "response_format.json_schema.schema", "invalid_grammar", ""),
        (lark("start: nothing"), "response_format.definition", "invalid_grammar", "nothing"),
        (regex("(a"), "response_format.definition", "invalid_grammar", "(a"),
        (regex("a*" * 5000), "response_format.definition", "invalid_grammar", ""),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_can_not_be_enforced_is_refused(
    ask, server: Running, form: dict, param: str, code: str, told: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(response_format=form, stream=stream)

    assert (caught.value.param, caught.value.code) == (param, code)
    assert told in caught.value.message
    assert server.served.scheduler.load.n_requests == 0


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        (lark('start: "a" ("b" | "c")~3 "d"'), "a[bc]{3}d"),
        (regex("[0-9]{3}-[x-z]{2}"), "[0-9]{3}-[x-z]{2}"),
        ({"type": "choice", "choices": ["glad", "sad"]}, "glad|sad"),
    ],
)
def test_answers_are_texts_of_the_grammar(
    ask, client: openai.OpenAI, form: dict, pattern: str
) -> None:
    said = ask(response_format=form, n=4, temperature=1.5, seed=1)
    continued = client.completions.create(
        model="tiny", prompt="x", max_tokens=50, n=4, seed=1, extra_body={"response_format": form}
    )

    texts = [choice.message.content for choice in said.choices]
    texts += [choice.text for choice in continued.choices]
    assert [text for text in texts if not re.fullmatch(pattern, text)] == []
