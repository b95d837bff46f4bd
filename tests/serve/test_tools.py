"""Tools by the openai client: calls of random weights validate, whole and streamed, and go back."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from aboard.engine import load
from serve.running import Running, running
from serve.tool_schemas import SCHEMAS, WEATHER
from tool_calls.templates import FAMILIES, tiny_caller

ASKED = [{"role": "user", "content": "How is the weather in Oslo?"}]


def function(name: str, parameters: object = None, **more: object) -> dict:
    about = {"name": name, "description": f"Does {name}.", **more}
    return {
        "type": "function",
        "function": about if parameters is None else about | {"parameters": parameters},
    }


TOOLS = [function("weather", WEATHER, strict=True), function("now", SCHEMAS["now"])]
MARKED = "mistral-numbered"
NAME, MISSING = "tools[0].function.name", "missing_required_parameter"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Running]]:
    with ExitStack() as stack:
        servers: dict[str, Running] = {}

        def serving(name: str) -> Running:
            if name not in servers:
                path = tmp_path_factory.mktemp(name) / "t.gguf"
                model = load(
                    tiny_caller(path, FAMILIES[name], context=4096), threads=1, context=4096
                )
                servers[name] = stack.enter_context(running(model))
            return servers[name]

        yield serving


@pytest.fixture
def asking(serving) -> Iterator[Callable]:
    clients = {}

    def asking(name: str = MARKED, **options: object):
        client = clients.setdefault(name, serving(name).openai())
        given = {
            "model": "tiny",
            "messages": ASKED,
            "tools": TOOLS,
            "max_tokens": 300,
            "seed": 1,
            "tool_choice": "required",
        } | options
        return client.chat.completions.create(**given)

    yield asking
    for client in clients.values():
        client.close()


def validated(calls: list) -> list[str]:
    """The names of what is called with arguments that validate."""
    for call in calls:
        arguments = json.loads(call.function.arguments)
        jsonschema.Draft202012Validator(SCHEMAS[call.function.name]).validate(arguments)
    return [call.function.name for call in calls]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_call_is_made_told_back_and_answered(asking, name: str) -> None:
    choice = asking(name, parallel_tool_calls=False).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert len(validated(choice.message.tool_calls)) == 1
    result = {
        "role": "tool",
        "tool_call_id": choice.message.tool_calls[0].id,
        "content": "It rains.",
    }
    answer = asking(
        name,
        messages=[*ASKED, choice.message.model_dump(exclude_none=True), result],
        tool_choice="none",
        max_tokens=10,
        logit_bias={"256": -100, "258": -100},
    ).choices[0]
    assert (answer.finish_reason, answer.message.tool_calls) == ("length", None)
    assert answer.message.content


@pytest.mark.parametrize("name", FAMILIES)
def test_a_stream_says_what_the_whole_answer_says(asking, name: str) -> None:
    options = {"n": 2, "stream_options": {"include_usage": True}}
    whole = asking(name, n=2)

    events = list(asking(name, stream=True, **options))

    for choice in whole.choices:
        deltas = [
            each.choices[0]
            for each in events
            if each.choices and each.choices[0].index == choice.index
        ]
        calls = [call for each in deltas for call in each.delta.tool_calls or []]
        begun = [call for call in calls if call.function.name]
        assert [call.index for call in begun] == list(range(len(choice.message.tool_calls)))
        assert all(call.id and call.type == "function" for call in begun)
        for number, want in enumerate(choice.message.tool_calls):
            of_it = [call for call in calls if call.index == number]
            assert of_it[0].function.name == want.function.name
            assert "".join(each.function.arguments for each in of_it) == want.function.arguments
        assert deltas[-1].finish_reason == choice.finish_reason
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens


class Weather(BaseModel):
    city: Literal["Oslo", "Rome"]
    days: Literal[1, 2, 3]


def test_a_class_of_pydantic_comes_back_as_an_object(serving) -> None:
    tool = openai.pydantic_function_tool(Weather)
    with serving(MARKED).openai() as client:
        options = {"model": "tiny", "messages": ASKED, "tools": [tool], "tool_choice": "required"}

        parsed = client.chat.completions.parse(seed=2, **options)
        with client.chat.completions.stream(seed=2, **options) as stream:
            streamed = stream.get_final_completion()

    for each in (parsed, streamed):
        assert isinstance(each.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "now"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "now"}}],
            },
        },
    ],
)
def test_only_what_is_chosen_is_called(asking, choice: dict) -> None:
    answer = asking(tool_choice=choice, n=8)

    names = [validated(each.message.tool_calls) for each in answer.choices]
    assert {name for each in names for name in each} == {"now"}
    if choice["type"] == "function":
        assert {len(each) for each in names} == {1}


def test_a_model_that_may_call_does_either(asking) -> None:
    answer = asking(
        tool_choice="auto", n=24, logit_bias={"259": 3, "258": 4}, logprobs=True, max_tokens=200
    )

    called = [each for each in answer.choices if each.finish_reason == "tool_calls"]
    said = [each for each in answer.choices if each.finish_reason == "stop"]
    assert called
    assert said
    for each in called:
        validated(each.message.tool_calls)
    for each in answer.choices:
        spelled = b"".join(bytes(token.bytes) for token in each.logprobs.content)
        assert spelled.decode(errors="replace").strip() == (each.message.content or "").strip()


def test_a_call_that_is_cut_is_of_length(asking) -> None:
    choice = asking(max_tokens=14).choices[0]

    assert choice.finish_reason == "length"


def test_stop_texts_end_text_and_not_calls(asking) -> None:
    options = {"seed": 5, "temperature": 1, "logit_bias": {"256": -100, "258": -100}}
    said = asking(tool_choice="none", max_tokens=60, **options).choices[0].message.content
    stop = said[20:22]

    cut = asking(tool_choice="none", max_tokens=60, stop=stop, **options).choices[0]
    called = asking(stop=["{", '"', "["]).choices[0]

    assert (cut.message.content, cut.finish_reason) == (said.partition(stop)[0], "stop")
    assert called.finish_reason == "tool_calls"
    validated(called.message.tool_calls)


@pytest.mark.parametrize("name", FAMILIES)
def test_stop_texts_within_what_begins_a_call_leave_it_whole(asking, name: str) -> None:
    once = {"parallel_tool_calls": False}

    choice = asking(name, stop=["a", "l", "<", '"'], **once).choices[0]

    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    validated(choice.message.tool_calls)


def test_a_tool_is_not_called_as_text_begins(asking) -> None:
    with pytest.raises(openai.BadRequestError, match="a tool is called 'all'") as caught:
        asking("functionary-recipients", tools=[function("all", WEATHER)])

    assert caught.value.param == "tools"


def test_text_beside_tools_may_have_a_schema(asking) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": WEATHER}}

    for choice in asking(tool_choice="auto", response_format=form, n=8).choices:
        if choice.message.tool_calls:
            validated(choice.message.tool_calls)
        else:
            jsonschema.validate(json.loads(choice.message.content), WEATHER)


def test_to_call_nothing_needs_no_tools(asking) -> None:
    form = {"type": "choice", "choices": ["yes", "no"]}

    answer = asking(tools=[], tool_choice="none", response_format=form)

    assert answer.choices[0].message.content in ("yes", "no")


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type", None),
        ({"tools": [function("a b")]}, "tools[0].function.name", None),
        ({"tools": [function("a"), function("a")]}, "tools", None),
        ({"tools": [function(f"f{i}") for i in range(129)]}, "tools", None),
        ({"tools": [function("a", {"type": "string"})]}, "tools[0].function.parameters", None),
        (
            {"tools": [function("a"), function("b", {"properties": 5})]},
            "tools[1].function.parameters",
            "invalid_grammar",
        ),
        (
            {"tools": [function("a", {"properties": {"b": {"uniqueItems": True}}})]},
            "tools[0].function.parameters",
            "unsupported_schema",
        ),
        ({"tools": [function("a", {"description": "x" * (1 << 18)})]}, "tools", None),
        ({"tools": [function("a", description="<|im_end|>")]}, "tools", None),
        ({"tools": [{"type": "function", "function": {"name": None}}]}, NAME, MISSING),
        ({"tools": []}, "tool_choice", None),
        ({"tool_choice": "never"}, "tool_choice", None),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", None),
        (
            {"response_format": {"type": "choice", "choices": ["a"]}},
            "response_format.choices",
            "unsupported_parameter",
        ),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"function_call": "auto"}, "function_call", "unsupported_parameter"),
        (
            {"messages": [*ASKED, {"role": "function", "name": "f", "content": "x"}]},
            "messages[1].role",
            None,
        ),
        (
            {"messages": [*ASKED, {"role": "tool", "tool_call_id": "x", "content": "x"}]},
            "messages[1].tool_call_id",
            None,
        ),
        ({"messages": [*ASKED, {"role": "assistant"}]}, "messages[1]", None),
    ],
)
def test_what_is_wrong_is_refused_by_name(asking, given: dict, param: str, code) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        asking(**given)

    assert (caught.value.param, caught.value.code) == (param, code or "invalid_value")


@pytest.mark.parametrize(
    "arguments", ["[1]", "{", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}']
)
def test_arguments_that_are_no_object_of_json_are_refused(asking, arguments: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}

    with pytest.raises(openai.BadRequestError) as caught:
        asking(messages=[*ASKED, {"role": "assistant", "tool_calls": [call]}])

    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [function("a", {"type": "string"})]},
        {"tool_choice": {"type": "function", "function": {"name": "x"}}},
    ],
)
def test_an_error_names_the_place_once(asking, given: dict) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        asking(**given)

    message = caught.value.body["message"]
    assert message.startswith(caught.value.param)
    assert message.count(caught.value.param) == 1
