"""Every family: random weights call tools, and each call that ends validates by jsonschema."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from aboard.engine import Model, load
from aboard.errors import GrammarError, UsageError
from aboard.tool_calls import Tool, ToolChoice
from checkpoint.jinja_oracle import render
from tiny import tiny_llama
from tool_calls.templates import FAMILIES, metadata_of, tiny_caller

SCHEMAS = {
    "get_weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "unit": {"enum": ["C", "F"]},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
    "get": {"type": "object", "properties": {}, "additionalProperties": False},
    "plot-2": {
        "$defs": {"point": {"type": "array", "items": {"enum": [-1, 0, 25]}, "maxItems": 2}},
        "properties": {
            "at": {"$ref": "#/$defs/point"},
            "label": {"type": "string", "pattern": '^[{}"\\\\<>a-z]{0,8}$'},
            "nested": {
                "type": "object",
                "properties": {"deep": {"type": "null"}},
                "additionalProperties": False,
            },
        },
        "required": ["at", "label"],
        "additionalProperties": False,
    },
}
TOOLS = [Tool(name=name, parameters=schema) for name, schema in SCHEMAS.items()]
ASKED = [{"role": "user", "content": "What is the weather?"}]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    models: dict[str, Model] = {}

    def caller(name: str) -> Model:
        if name not in models:
            path = tiny_caller(
                tmp_path_factory.mktemp(name) / "t.gguf", FAMILIES[name], context=4096
            )
            models[name] = load(path, threads=1, context=4096)
        return models[name]

    return caller


def checked(message: dict) -> int:
    """How many calls a message has, every one of which validates."""
    calls = message.get("tool_calls", [])
    for call in calls:
        arguments = json.loads(call["function"]["arguments"])
        schema = {**SCHEMAS[call["function"]["name"]], "type": "object"}
        jsonschema.Draft202012Validator(schema).validate(arguments)
    return len(calls)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_is_found_from_template_and_tokens(caller, name: str) -> None:
    assert caller(name).tool_calling.form.name == name


@pytest.mark.parametrize("name", FAMILIES)
def test_random_weights_make_calls_that_validate(caller, name: str) -> None:
    model = caller(name)
    again = model.tokenizer.encode(model.tool_calling.form.again or "x")[0]
    n_calls = []

    for seed in range(20):
        message = model.reply(
            ASKED,
            tools=TOOLS,
            tool_choice="required",
            temperature=1.0,
            seed=seed,
            max_tokens=300,
            logit_bias={again: 2.0},
        )
        n_calls.append(checked(message))
        assert message["content"] is None

    assert min(n_calls) >= 1
    assert (max(n_calls) > 1) == FAMILIES[name].parallel


@pytest.mark.parametrize("name", FAMILIES)
def test_one_call_is_all_where_there_may_be_one_only(caller, name: str) -> None:
    model = caller(name)

    for seed in range(5):
        message = model.reply(
            ASKED,
            tools=TOOLS,
            tool_choice=ToolChoice("required", ("plot-2",)),
            parallel_tool_calls=False,
            temperature=1.0,
            seed=seed,
            max_tokens=300,
        )
        assert [each["function"]["name"] for each in message["tool_calls"]] == ["plot-2"]
        checked(message)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_that_may_call_says_text_or_calls(caller, name: str) -> None:
    model = caller(name)
    trigger_text = model.tool_calling.form.triggers[0]
    trigger, *rest = model.tokenizer.encode(trigger_text)
    seen = set()

    for seed in range(8):
        message = model.reply(
            ASKED,
            tools=TOOLS,
            temperature=1.0,
            seed=seed,
            max_tokens=120,
            logit_bias={trigger: 4.0, 258: 2.0},
        )
        seen.add(checked(message) > 0)
        assert trigger_text not in (message["content"] or "")

    assert rest or True in seen  # a trigger of one token is likely to come


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_that_may_not_call_says_text(caller, name: str) -> None:
    message = caller(name).reply(
        ASKED, tools=TOOLS, tool_choice="none", temperature=1.0, seed=1, max_tokens=40
    )

    assert message["content"]
    assert "tool_calls" not in message


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_and_results_are_told_to_the_model(caller, name: str) -> None:
    model = caller(name)
    message = model.reply(ASKED, tools=TOOLS, tool_choice="required", seed=3, max_tokens=300)
    call = message["tool_calls"][0]
    call["function"] = {"name": "get_weather", "arguments": '{"city": "Oslo \\u00f8"}'}
    message["tool_calls"] = [call]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "It rains."}

    told = model.tokenizer.decode(
        model.chat_tokens([*ASKED, message, result], tools=TOOLS), skip_special=False
    )

    form = model.tool_calling.form
    written = form.written([{"name": "get_weather", "arguments": {"city": "Oslo \u00f8"}}])
    if not form.before_id and not form.prompted:
        assert written in told
    assert "get_weather" in told.partition("What is the weather?")[2]
    assert "It rains." in told
    assert "plot-2" in told


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("granite", "lfm2")])
def test_the_prompt_is_what_jinja2_makes_of_the_template(caller, name: str) -> None:
    model = caller(name)
    form = model.tool_calling.form
    arguments = {"city": "Oslo", "unit": "C"}
    function = {"name": "get_weather", "arguments": arguments}
    call = {"id": "a1B2c3D4e", "type": "function", "function": function}
    result = {
        "role": "tool",
        "tool_call_id": "a1B2c3D4e",
        "name": "get_weather",
        "content": "Rain.",
    }
    called = {"role": "assistant", "content": "", "tool_calls": [call]}
    text = json.dumps(arguments)
    if name == "plain":
        tools = "\n".join(json.dumps(tool.described) for tool in TOOLS)
        told = [
            {"role": "system", "content": form.instructions.replace("{tools}", tools)},
            *ASKED,
            {
                "role": "assistant",
                "content": f'<tool_call>\n{{"name": "get_weather", "arguments": {text}}}'
                "\n</tool_call>",
            },
            {"role": "user", "content": "<tool_response>\nRain.\n</tool_response>"},
        ]
    elif form.arguments_as_text:
        function_told = {"name": "get_weather", "arguments": text}
        told = [*ASKED, {**called, "tool_calls": [{**call, "function": function_told}]}, result]
    else:
        told = [*ASKED, called, result]
    described = None if name == "plain" else [tool.described for tool in TOOLS]
    want = render(FAMILIES[name].template, told, tools=described)

    tokens = model.chat_tokens([*ASKED, called, result], tools=TOOLS)

    assert model.tokenizer.decode(tokens, skip_special=False) == want


def test_past_calls_are_told_without_tools_whatever_the_template_for_that(tmp_path: Path) -> None:
    hermes = FAMILIES["hermes"]
    named = {
        "tokenizer.chat_template": FAMILIES["plain"].template,
        "tokenizer.chat_template.tool_use": hermes.template,
    }
    path = tiny_llama(tmp_path / "t.gguf", vocabulary=261, metadata=metadata_of(hermes) | named)
    model = load(path, threads=1, context=64)
    function = {"name": "get", "arguments": "{}"}
    call = {"id": "1", "type": "function", "function": function}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "1", "content": "It rains."}

    told = model.tokenizer.decode(model.chat_tokens([*ASKED, called, result]))

    assert model.tool_calling.form.name == "hermes"
    assert '<tool_call>\n{"name": "get", "arguments": {}}\n</tool_call>' in told
    assert "It rains." in told


def called(arguments: object) -> list[dict]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [*ASKED, {"role": "assistant", "content": "", "tool_calls": [call]}]


def described(**about: object) -> dict:
    return {"tools": [{"type": "function", "function": {"name": "f"} | about}]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"messages": None}, "messages are None"),
        ({"messages": "hello"}, "messages are 'hello'"),
        ({"messages": [None]}, "message 1 is None"),
        ({"messages": [*ASKED, {"content": "x"}]}, "message 2 is {'content': 'x'}"),
        ({"messages": called({"a": {1}})}, "message 2: the arguments of a call are no JSON object"),
        ({"messages": called({"a": float("nan")})}, "message 2: the arguments"),
        ({"messages": called('{"a": NaN}')}, "message 2: the arguments"),
        ({"messages": called([1])}, "message 2: the arguments"),
        (described(description=5), "the description of f is 5"),
        (described(parameters={"const": {1}}), "is no JSON"),
        (described(name=5), "a tool is called 5"),
        ({"tools": TOOLS * 2}, "two tools are called"),
        ({"stop": None}, "stop texts are None"),
        ({"stop": [""]}, "a stop text is ''"),
        ({"stop": [5]}, "a stop text is 5"),
    ],
)
def test_a_mistake_of_the_caller_is_told(caller, given: dict, words: str) -> None:
    model = caller("plain")

    with pytest.raises((UsageError, GrammarError), match=re.escape(words)):
        model.reply(**{"messages": ASKED, "tools": TOOLS} | given)
