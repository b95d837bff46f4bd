"""Answers drawn at random from what masks allow are valid, as `jsonschema` finds them."""

import json
from random import Random
from typing import Any

import jsonschema
import numpy as np
import pytest

from aboard.constrain import Grammar
from aboard.errors import GrammarError
from constrain.random_schemas import random_case
from constrain.test_precision import schema_of
from constrain.writing import constraint

MAX_STEPS = 400
CLOSING = [ord(letter) for letter in '"]},']


def drawn(grammar: Grammar, random: Random) -> str | None:
    """The text of an answer, which ends where it may, at times; None where it never does."""
    state = constraint(grammar)
    octets: list[int] = []
    while not state.ended:
        if state.may_end and (random.random() < 0.3 or len(octets) > MAX_STEPS):
            break
        if len(octets) > MAX_STEPS:
            return None
        bits = np.unpackbits(state.allowed().view(np.uint8), bitorder="little")
        options = [int(token) for token in np.flatnonzero(bits) if token < 256]
        if state.may_end and not options:
            break
        closing = [token for token in options if token in CLOSING]
        octets.append(random.choice(closing if closing and random.random() < 0.4 else options))
        state.accept(octets[-1])
    return bytes(octets).decode()


def schema_for(seed: int) -> Any:
    return schema_of(Random(seed)) if seed % 2 else random_case(seed)[0]


@pytest.mark.parametrize("seed", range(200))
def test_a_random_answer_is_valid(seed: int) -> None:
    schema = schema_for(seed)
    random = Random(seed)
    try:
        grammar = Grammar.json_schema(schema)
    except GrammarError:
        return  # which ones are refused, other tests say

    answers = [drawn(grammar, random) for _ in range(4)]

    oracle = jsonschema.Draft202012Validator(schema)
    values = [json.loads(text) for text in answers if text is not None]
    assert [value for value in values if not oracle.is_valid(value)] == []
