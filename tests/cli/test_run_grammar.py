"""`aboard run` with a schema, a pattern or a grammar: what reaches the engine, what is told."""

import json
from pathlib import Path

import jsonschema
import pytest

from aboard.engine import Grammar
from cli.fake import FakeModel
from tiny import tiny_llama

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
LARK = 'start: "yes" | "no"\n'


@pytest.mark.parametrize(
    ("option", "content", "expected"),
    [
        ("--json-schema", json.dumps(SCHEMA), Grammar.json_schema(SCHEMA)),
        ("--json-schema", "\ufeff" + json.dumps(SCHEMA), Grammar.json_schema(SCHEMA)),
        ("--grammar", LARK, Grammar.lark(LARK)),
    ],
)
@pytest.mark.parametrize("raw", [[], ["--raw"]])
def test_files_become_grammars(
    call, model: FakeModel, model_file: str, option: str, content: str, expected, raw: list[str]
) -> None:
    Path("file").write_text(content, "utf-8")

    outcome = call("run", model_file, "Why?", option, "file", *raw)

    assert outcome.exit_code == 0
    assert model.held_to == [expected]


def test_a_pattern_becomes_a_grammar(call, model: FakeModel, model_file: str) -> None:
    call("run", model_file, "Why?", "--regex", "[0-9]+")

    assert model.held_to == [Grammar.regex("[0-9]+")]


def test_without_them_there_is_none(call, model: FakeModel, model_file: str) -> None:
    call("run", model_file, "Why?")

    assert model.held_to == [None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--regex", "a", "--grammar", "x"], "exclude each other"),
        (["--json-schema", "missing"], "missing: can't be read: No such file"),
        (["--json-schema", "bytes"], "bytes: is not UTF-8 at byte 1"),
        (["--json-schema", "text"], "the schema is no JSON"),
        (["--json-schema", "refused"], "/$recursiveRef: $recursiveRef isn't enforced"),
        (["--regex", "a**"], "what is repeated already is repeated"),
    ],
)
def test_what_cant_be_used_is_a_mistake_of_the_user(
    call, model: FakeModel, model_file: str, arguments: list[str], message: str
) -> None:
    Path("bytes").write_bytes(b'"\xff"')
    Path("text").write_text("no JSON")
    Path("refused").write_text('{"$recursiveRef": "#"}')

    outcome = call("run", model_file, "Why?", *arguments)

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert model.held_to == []


@pytest.mark.parametrize(
    ("arguments", "complete", "note"),
    [
        (["--max-tokens", "3"], False, "the limit of --max-tokens, before the answer was whole"),
        (["--max-tokens", "3"], True, "the limit of --max-tokens\n"),
        ([], False, "stopped at a text of --stop, before the answer was whole"),
        ([], True, ""),
    ],
)
def test_an_answer_that_is_not_whole_is_told(
    call, model: FakeModel, model_file: str, arguments: list[str], complete: bool, note: str
) -> None:
    model.complete = complete

    outcome = call("run", model_file, "Why?", "--regex", "[a-z]+", *arguments)

    assert note in outcome.stderr
    assert bool(outcome.stderr) == bool(note)


def test_a_real_answer_validates(call, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", fmt="Q8_0")
    Path("schema").write_text(json.dumps(SCHEMA))

    outcome = call("run", str(path), "Why?", "--json-schema", "schema", "--json")

    told = json.loads(outcome.stdout)
    assert (told["finish_reason"], told["complete"]) == ("stop", True)
    jsonschema.validate(json.loads(told["text"]), SCHEMA)
