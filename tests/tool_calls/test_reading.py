"""Calls found in answers: the same whatever the pieces they come in, and beside what text."""

import json
from dataclasses import replace

import pytest

from aboard.errors import GrammarError, UsageError
from aboard.tool_calls import (
    Arguments,
    Begun,
    CallReader,
    Text,
    Tool,
    ToolChoice,
    Wanted,
    require_distinct,
)
from aboard.tool_calls.families import functionary, granite, hermes, lfm2, llama3, mistral, plain
from aboard.tool_calls.families.table import form_of
from aboard.tool_calls.form import CallForm

ODD = {"text": 'a "quoted" } ] </tool_call> [ARGS] >>> \\ \u00e9', "deep": [{"a": {}}], "n": -1.5}
# As the makers of the models document them.
ANSWERS = [
    (hermes.FORM, '<tool_call>\n{"name": "f", "arguments": %s}\n</tool_call>', "\n"),
    (mistral.LIST, '[TOOL_CALLS][{"name": "f", "arguments": %s}]', None),
    (mistral.LIST, '[TOOL_CALLS][{"name": "f", "arguments": %s, "id": "a1B2c3D4e"}]', None),
    (mistral.NAMED, "[TOOL_CALLS]f[ARGS]%s", ""),
    (mistral.NUMBERED, "[TOOL_CALLS]f[CALL_ID]a1B2c3D4e[ARGS]%s", ""),
    (functionary.TAGS, "<function=f>%s</function>", "\n"),
    (granite.FORM, '<|tool_call|>[{"name": "f", "arguments": %s}]', None),
    (
        lfm2.FORM,
        '<|tool_call_start|>[{"name": "f", "arguments": %s}]<|tool_call_end|>',
        None,
    ),
    (llama3.FORM, '{"name": "f", "parameters": %s}', None),
    (llama3.FORM, '<|python_tag|>{"name": "f", "parameters": %s}', None),
    (functionary.RECIPIENTS, "f\n%s", None),
]


def read(form: CallForm, pieces: object, stop: tuple[str, ...] = ()) -> tuple:
    """The text, the calls, and the reader behind them."""
    reader = CallReader(form, stop)
    parts = [part for piece in pieces for part in reader.push(piece)] + reader.finish()
    text, calls = "", []
    for part in parts:
        match part:
            case Text(more):
                assert not calls
                text += more
            case Begun(name):
                calls.append([name, ""])
            case Arguments(more):
                calls[-1][1] += more
    return text, [(name, json.loads(arguments)) for name, arguments in calls], reader


@pytest.mark.parametrize("pieces", [list, lambda text: [text], lambda text: [text[:9], text[9:]]])
@pytest.mark.parametrize(("form", "written", "between"), ANSWERS)
def test_a_call_is_found_in_whatever_pieces_it_comes(form, written, between, pieces) -> None:
    answer = written % json.dumps(ODD)

    text, calls, reader = read(form, pieces(answer))

    assert (text, calls, reader.n_calls) == ("", [("f", ODD)], 1)


@pytest.mark.parametrize(("form", "written", "between"), [each for each in ANSWERS if each[2]])
def test_text_and_several_calls_are_told_apart(form, written, between) -> None:
    answer = "Let me see.\n\n" + between.join([written % "{}", written % json.dumps(ODD)])

    text, calls, _ = read(form, answer)

    assert text == "Let me see."
    assert calls == [("f", {}), ("f", ODD)]


@pytest.mark.parametrize(("form", "written", "between"), ANSWERS)
def test_a_form_writes_what_it_reads(form, written, between) -> None:
    if form.prompted or form.before_id:
        return
    answer = form.written([{"name": "f", "arguments": ODD}, {"name": "g", "arguments": {}}])

    _, calls, _ = read(replace(form, again=form.again or "\n" + form.triggers[0]), answer)

    assert calls == [("f", ODD), ("g", {})]


@pytest.mark.parametrize("pieces", [list, lambda text: [text]])
@pytest.mark.parametrize(
    ("form", "answer", "text"),
    [
        (hermes.FORM, "a < b <tool_cal", "a < b <tool_cal"),
        (hermes.FORM, "a \n", "a \n"),
        (llama3.FORM, '{"name": 5}', '{"name": 5}'),
        (llama3.FORM, 'x {"name": "f", "parameters": {}}', 'x {"name": "f", "parameters": {}}'),
        (llama3.FORM, '{"na', '{"na'),
        (functionary.RECIPIENTS, "all\nHello", "Hello"),
        (hermes.FORM, "", ""),
    ],
)
def test_what_is_no_call_is_text(form, answer: str, text: str, pieces) -> None:
    assert read(form, pieces(answer))[:2] == (text, [])


@pytest.mark.parametrize(
    ("form", "answer", "text", "stopped"),
    [
        (hermes.FORM, "one two three", "one ", "two"),
        (llama3.FORM, '{"two', '{"', "two"),
        (llama3.FORM, "one two", "one ", "two"),
        (hermes.FORM, '<tool_call>\n{"name": "two", "arguments": {}}\n</tool_call>', "", None),
    ],
)
def test_a_stop_text_ends_text_and_no_call(form, answer, text, stopped) -> None:
    found, _, reader = read(form, answer, ("two", "three"))

    assert (found, reader.stopped) == (text, stopped)


def test_a_call_that_is_cut_is_no_whole_one() -> None:
    reader = CallReader(hermes.FORM)

    parts = reader.push('<tool_call>\n{"name": "f", "arguments": {"a": 1}') + reader.finish()

    assert parts == [Begun("f"), Arguments('{"a": 1}')]
    assert reader.n_calls == 0


@pytest.mark.parametrize(
    ("source", "vocabulary", "form"),
    [
        ("<tool_call> <arg_key> arguments", (), plain.FORM),
        ("<tool_call> <function= </function> <parameter= arguments", (), plain.FORM),
        ("no tools", (), plain.FORM),
        ("no tools", ("<|tool_call_start|>",), lfm2.FORM),
        ("[TOOL_CALLS] [ARGS] [CALL_ID]", (), mistral.NUMBERED),
        ('<|start_header_id|> "parameters": ', (), llama3.FORM),
    ],
)
def test_a_form_is_found_by_template_and_tokens(source, vocabulary, form) -> None:
    assert form_of(source, set(vocabulary)) is form


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tool(name="a b"), "a tool is called 'a b'"),
        (lambda: Tool(name="a", parameters=[]), "is a list, expected a mapping"),
        (lambda: Tool(name="a", parameters={"type": "array"}), "has the type 'array'"),
        (lambda: Tool.of({"name": "a"}), "expected an object"),
        (lambda: require_distinct([Tool(name="a")] * 2), "two tools are called 'a'"),
        (lambda: require_distinct([Tool(name=f"f{i}") for i in range(129)]), "at most 128"),
        (lambda: Wanted(tools=[], choice=ToolChoice("required")), "there are no tools"),
        (
            lambda: Wanted(tools=[Tool(name="a")], choice=ToolChoice("auto", ("b",))),
            "names 'b', which is none",
        ),
        (lambda: Wanted(tools=[], choice=ToolChoice("never")), "mode is 'never'"),
    ],
)
def test_what_is_wrong_is_told(make, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_a_schema_that_is_no_json_is_told() -> None:
    with pytest.raises(GrammarError, match="parameters is no JSON"):
        Tool(name="a", parameters={"const": {1}}).rules("a")
