"""Checks of what callers pass: the same words for the same mistake."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from aboard.errors import UsageError

KV_FORMATS = ("f16", "int8")  # how keys and values may be stored


def is_integer(value: object) -> bool:
    """Whether `value` is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def checked_integer(name: str, value: object, low: int, high: int, expected: str = "") -> int:
    """`value` as an int from `low` to `high`.

    Raises
    ------
    UsageError
        It is no integer, or out of this range; `expected` replaces the words for the range.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if low <= number <= high:
            return number
    expected = expected or f"an integer from {low} to {high}"
    raise UsageError(f"{name} is {value!r}, expected {expected}")


def checked_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """`value`, which must be one of `choices`.

    Raises
    ------
    UsageError
        It is none of them.
    """
    if isinstance(value, str) and value in choices:
        return value
    expected = " or ".join(repr(choice) for choice in choices)
    raise UsageError(f"{name} is {value!r}, expected {expected}")
