"""Every family: random weights call tools, and each call that ends validates by jsonschema."""

import json
from collections.abc import Callable

import jsonschema
import pytest

from aboard.engine import Model, load
from aboard.tool_calls import Tool, ToolChoice
from tool_calls.templates import FAMILIES, tiny_caller

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
    trigger = model.tokenizer.encode(model.tool_calling.form.triggers[0])[0]
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
        trigger_text = model.tool_calling.form.triggers[0]
        assert trigger_text not in (message["content"] or "")

    if model.tokenizer.is_control(trigger):
        assert True in seen


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
