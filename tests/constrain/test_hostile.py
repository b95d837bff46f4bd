"""Inputs that ask for much work: what becomes of each, told before much is done."""

import pytest

from aboard.errors import GrammarError
from constrain.hostile import CASES
from constrain.writing import constraint

# Of those that are no grammar, what the message matches.
REFUSED = {
    "schema: a loop": "refers to itself without end",
    "schema: a loop of two": "refers to itself without end",
    "schema: a loop through not": "refers to itself without end",
    "schema: deep JSON": "nested more than 64 deep",
    "schema: deep arrays": "nested more than 64 deep",
    "schema: wide allOf of anyOf": "more than 2000 alternatives",
    "schema: dependencies": "more than 2000 alternatives",
    "schema: many dependencies": "more than 2000 alternatives",
    "schema: a long way of references": "nested too deeply",
    "schema: a large text": "characters, expected at most",
    "schema: many values": "more than 50000 values",
    "schema: anyOf of objects": "more than 50000 values",
    "schema: many properties": "rules|work",
    "schema: many arrays": "rules|work",
    "schema: counted properties": "isn't enforced that they differ",
    "schema: finite names": "isn't enforced that they differ",
    "schema: a long pattern": "nested more than",
    "schema: different items": "more than a few values",
    "schema: a small step": "which no float is",
    "schema: powers of two": "too many endings",
    "pattern: categories": "more than 2000000 characters",
    "pattern: categories in classes": "more than 2000000 characters",
    **{f"choice: {name}": "expected at most 200000" for name in ("long", "very long", "alike")},
    **{f"choice: {name}": "expected at most 200000" for name in ("all beginnings", "many long")},
    **{f"pattern: look-aheads to {n}": "too much work" for n in (14, 18, 40)},
    "pattern: look-aheads that spell counts": "too much work",
    "grammar: schemas of much work": "too much work",
    "grammar: rules and a schema": "rules and brackets, expected at most 2000",
    "grammar: an intersection": "59 & and ~, expected at most 8",
}
LONG = (
    *("many schemas", "empty schemas", "white space", "an open quote", "an open expression"),
    *("slashes", "many rules", "many terminals", "optional rules", "alternatives", "classes"),
)
REFUSED |= {f"grammar: {name}": "characters, expected at most 100000" for name in LONG}
TOO_MUCH_WORK = (
    *("oneOf of constants", "oneOf of objects", "anyOf of constants", "wide allOf"),
    *("a long constant", "long constants", "a long array", "many required", "many types"),
    *("many bounds", "finite names, counted", "patterns", "many patterns", "categories of names"),
    *("a pattern that explodes", "many long patterns", "a repeated repetition", "counts"),
    *("a large count", "many items"),
)
REFUSED |= {f"schema: {name}": "too much work" for name in TOO_MUCH_WORK}


@pytest.mark.parametrize("name", sorted(CASES.keys() - REFUSED.keys()))
def test_much_that_is_bounded_is_a_grammar(name: str) -> None:
    state = constraint(CASES[name]())

    assert state.allowed().any()


@pytest.mark.parametrize("name", REFUSED)
def test_what_takes_too_much_is_refused(name: str) -> None:
    with pytest.raises(GrammarError, match=REFUSED[name]):
        CASES[name]()
