"""Numbers as languages of their texts, against exact decimal arithmetic."""

import math
import random
from decimal import Decimal

import pytest

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.numbers import (
    FRACTIONS,
    INTEGERS,
    NUMBERS,
    fractions_above,
    fractions_below,
    integers_from,
    integers_to,
    multiples,
)
from aboard.errors import GrammarError

WHOLE = (0, 1, 5, 9, 10, 11, 19, 20, 99, 100, 101, 250, 999, 1000, 4096)
PARTS = ("5", "05", "50", "25", "125", "01", "99", "10", "3", "6", "75", "001", "9375")


def samples() -> list[str]:
    texts = [str(n) for n in WHOLE] + [f"{n}.{part}" for n in WHOLE for part in PARTS]
    return texts + [f"-{text}" for text in texts if text != "0"]


TEXTS = samples()
BOUNDS = [Decimal(text) for text in random.Random(1).sample(TEXTS, 60)] + [Decimal(0)]


def is_integer(text: str) -> bool:
    return "." not in text


def test_texts_are_integers_or_others() -> None:
    questions = Questions()

    for text in TEXTS:
        assert questions.accepts(INTEGERS, text) == is_integer(text)
        assert questions.accepts(FRACTIONS, text) == (not is_integer(text))
        assert questions.accepts(NUMBERS, text)


@pytest.mark.parametrize("text", ["-0", "01", "+1", "1.", ".5", "1.0", "1e5", "", "-", "0.00"])
def test_other_texts_are_neither(text: str) -> None:
    questions = Questions()

    assert not questions.accepts(INTEGERS, text)
    assert not questions.accepts(FRACTIONS, text)


@pytest.mark.parametrize(
    ("text", "is_number"),
    [("1e5", True), ("-2.50E-30", True), ("1.0", True), ("1e308", False), ("10e5", False)],
)
def test_exponents_stay_within_floats(text: str, is_number: bool) -> None:
    assert Questions().accepts(NUMBERS, text) == is_number


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_bounds_are_exact(bound: Decimal) -> None:
    questions = Questions()
    least, most = math.ceil(bound), math.floor(bound)
    above, below = fractions_above(bound), fractions_below(bound)
    whole_above, whole_below = integers_from(least), integers_to(most)

    for text in TEXTS:
        value = Decimal(text)
        if is_integer(text):
            found = questions.accepts(whole_above, text), questions.accepts(whole_below, text)
            assert found == (value >= least, value <= most), text
        else:
            found = questions.accepts(above, text), questions.accepts(below, text)
            assert found == (value > bound, value < bound), text


WHOLE_STEPS = "1 2 3 4 5 6 7 8 12 15 16 25 60 77 100 1000"
OTHER_STEPS = "0.1 0.5 0.01 0.25 0.3 0.7 1.5 2.5 0.001 1e-8 12.5 0.06 0.125 0.05"


@pytest.mark.parametrize("step", f"{WHOLE_STEPS} {OTHER_STEPS}".split())
def test_multiples_are_exact(step: str) -> None:
    questions = Questions()
    whole, others = multiples(Decimal(step))

    for text in TEXTS:
        found = questions.accepts(whole if is_integer(text) else others, text)
        assert found == (Decimal(text) % Decimal(step) == 0), text


@pytest.mark.parametrize("step", ["23", "101", "13717421", "65536", "0.023"])
def test_multiples_that_take_large_automata_are_refused(step: str) -> None:
    with pytest.raises(GrammarError, match="multiples of"):
        multiples(Decimal(step))
