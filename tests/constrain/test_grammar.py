"""Patterns, choices and Lark grammars; schemas within grammars."""

from typing import Any

import pytest

from aboard.constrain import Grammar
from aboard.errors import GrammarError, UnsupportedSchema, UsageError
from constrain.writing import accepts, constraint

CALLS = """
// one call or several
start: call ("\\n" call)*
call: "f(" args ")"  # %json in a comment is none
args: %json {
  "type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"],
  "additionalProperties": false
}
"""


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        ("[0-9]{3}-[0-9]{4}", ["555-0123"], ["555-012", "x555-0123", ""]),
        ("^(yes|no)$", ["yes", "no"], ["yes\n", "maybe"]),
        ("(?!0)[0-9]+", ["10", "7"], ["01", ""]),
        (".*", ["", "any text é"], ["two\nlines"]),
        ("(a|aa)+c", ["aaac"], ["aaa"]),
    ],
)
def test_a_pattern_is_matched_in_full(pattern: str, texts: list[str], others: list[str]) -> None:
    grammar = Grammar.regex(pattern)

    assert all(accepts(grammar, text) for text in texts)
    assert not any(accepts(grammar, text) for text in others)


def test_one_of_the_choices_is_made() -> None:
    grammar = Grammar.choice(["a", "ab", 'say "hi"', "line\nbreak", "é/\\"])

    assert all(accepts(grammar, text) for text in ("a", "ab", 'say "hi"', "line\nbreak", "é/\\"))
    assert not any(accepts(grammar, text) for text in ("", "b", "abc"))


def test_many_choices_are_compiled() -> None:
    grammar = Grammar.choice(f"item {n}" for n in range(10_000))

    assert accepts(grammar, "item 7316")
    assert not accepts(grammar, "item 73161")


def test_a_long_pattern_is_compiled() -> None:
    grammar = Grammar.regex(f"^(?!b){'a' * 3000}$")

    assert accepts(grammar, "a" * 3000)


def test_schemas_stand_within_a_grammar() -> None:
    grammar = Grammar.lark(CALLS)

    assert accepts(grammar, 'f({"x": 1})\nf({"x": 20})')
    assert not accepts(grammar, 'f({"x": "1"})')
    assert not accepts(grammar, 'f({"y": 1})')


def test_several_schemas_and_what_looks_like_one() -> None:
    grammar = Grammar.lark(
        'start: a "%json {" b /%json \\/ /\na: %json {"type": "null"}\nb: %json {"const": 3}\n'
    )

    assert accepts(grammar, "null%json {3%json / ")


def test_equal_grammars_are_equal() -> None:
    assert Grammar.regex("a+") == Grammar.regex("a+")
    assert len({Grammar.regex("a+"), Grammar.regex("a+"), Grammar.regex("a")}) == 2


@pytest.mark.parametrize(
    ("make", "argument", "message"),
    [
        (Grammar.regex, "(?=a)b", "matches no text"),
        (Grammar.regex, "a(", "isn't closed"),
        (Grammar.choice, [], "there are 0 choices"),
        (Grammar.choice, [str(n) for n in range(10_001)], "there are 10001 choices"),
        (Grammar.choice, ["a" * n for n in range(600)], "nested too deeply"),
        (Grammar.choice, ["a" * 200_001], "200001 characters"),
        (Grammar.lark, "start: a\n" + "a: a\n" * 2500, "2501 rules and brackets"),
        (Grammar.lark, "start: " + " & ".join("abcdefghijk"), "10 & and ~"),
        (Grammar.lark, "start: %json {", "no JSON"),
        (Grammar.lark, "start: %json " + "[" * 90_000, "no JSON"),
        (Grammar.lark, '%llguidance {}\nstart: "a"', "'%llguidance' in a grammar"),
        (Grammar.lark, 'start[temperature=0.5]: "a"', "'temperature=' in a grammar"),
        (Grammar.lark, 'start[max_tokens = 5]: "a"', "'max_tokens =' in a grammar"),
        (Grammar.lark, " " * (2 << 20), "expected at most"),
        (Grammar.lark, 'start: %json {"$recursiveRef": "#"}', "isn't enforced"),
    ],
)
def test_what_cant_be_a_grammar_is_refused(make: Any, argument: Any, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        make(argument)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (Grammar.regex, 3),
        (Grammar.choice, "abc"),
        (Grammar.choice, [1]),
        (Grammar.lark, None),
    ],
)
def test_what_is_of_another_type_is_refused(make: Any, argument: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        make(argument)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start: unknown", "unknown name"),
        ("begin: /a/", "no start rule"),
        ("start: /(/", "invalid regex"),
        ("start: ((((", "can't be compiled"),
        ("start: " + "(" * 1_500, "too deeply nested"),
        ("", "can't be compiled"),
    ],
)
def test_a_grammar_that_is_none_is_told_with_the_first_answer(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        constraint(Grammar.lark(text))


def test_the_keyword_within_a_grammar_is_named() -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        Grammar.lark('start: %json {"items": {"$recursiveRef": "#"}}')

    assert caught.value.pointer == "/items/$recursiveRef"
