"""How many digits numbers are written with, so that readers read what the schema means.

Python's json, JavaScript and most others make a float of every number with a point. What is written
here means the same as an exact decimal number and as the float next to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aboard.constrain.language.expression import Expression, both, choice
from aboard.constrain.language.numbers import (
    FLOAT_DIGITS,
    INTEGERS,
    floats,
    fractions_of,
    short_integers,
)
from aboard.errors import GrammarError

# Where one of these stands, numbers that are no multiples may be asked for.
_NEGATING = frozenset(
    (
        *("not", "oneOf", "if", "maxContains", "dependencies", "dependentSchemas"),
        *("unevaluatedItems", "unevaluatedProperties"),
    )
)


@dataclass(frozen=True, slots=True)
class Precision:
    """What numbers of one schema may look like.

    Attributes
    ----------
    integers, pointed : Expression
        The texts that may be written, without and with a point.
    """

    integers: Expression
    pointed: Expression

    def cut(self, texts: Expression) -> Expression:
        """Those of `texts`, of numbers, that may be written."""
        return both(texts, choice(self.integers, self.pointed))

    def cut_integers(self, texts: Expression) -> Expression:
        """Those of `texts`, of integers, that may be written."""
        return texts if self.integers == INTEGERS else both(texts, self.integers)


def precision_of(values: Iterable[Any]) -> Precision:
    """The precision of schemas that belong together.

    Raises
    ------
    GrammarError
        They hold numbers that go together in no precision.
    """
    found = [pair for value in values for pair in _pairs(value, "")]
    steps = [step for key, step in found if key == "multipleOf" and isinstance(step, Decimal)]
    long = dict.fromkeys(
        v for _, v in found if isinstance(v, Decimal) and _n_digits(v) > FLOAT_DIGITS
    )
    if not steps:
        return Precision(INTEGERS, choice(floats(), fractions_of(long)))
    if long:
        raise GrammarError(
            f"the number {next(iter(long))} has more than {FLOAT_DIGITS} digits, which isn't "
            "enforced beside a multipleOf with a point",
            hint="Round the number, or write multipleOf as an integer.",
        )
    # A float tells multiples from other numbers while their quotient has no more digits than it.
    negates = any(key in _NEGATING for key, _ in found)
    n_digits = FLOAT_DIGITS - (max(map(_n_decimals, steps)) if negates else 0)
    if n_digits < 2:
        raise GrammarError(
            f"multipleOf has more than {FLOAT_DIGITS - 2} decimals beside not, oneOf or if",
            hint="Ask for integers, and let the reader divide them.",
        )
    return Precision(short_integers(n_digits), floats(n_digits))


def _pairs(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value in `value`, and the key that it, or the list it is in, stands under."""
    waiting = [(key, value)]
    while waiting:
        at, found = waiting.pop()
        yield at, found
        if isinstance(found, dict):
            waiting += found.items()
        elif isinstance(found, list):
            waiting += ((at, each) for each in found)


def _n_digits(value: Decimal) -> int:
    return 0 if value == value.to_integral_value() else len(value.normalize().as_tuple().digits)


def _n_decimals(value: Decimal) -> int:
    return max(-int(value.normalize().as_tuple().exponent), 0)
