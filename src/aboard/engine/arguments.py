"""Checks of what callers pass: the same words for the same mistake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from aboard.errors import ContextOverflow, UsageError

Each = TypeVar("Each")

KV_FORMATS = ("f16", "int8")  # how keys and values may be stored
ACTIVATIONS = ("int8", "float32")  # what matrices may be multiplied with


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


def checked_seconds(name: str, value: Any) -> None:
    """See that `value` is a number of seconds above 0; it may be beyond all floats.

    Raises
    ------
    UsageError
        It is something else.
    """
    sound = isinstance(value, Real) and not isinstance(value, bool)
    if not sound or not value > 0:
        raise UsageError(f"{name} is {value!r}, expected seconds above 0")


def checked_tokens(tokens: Iterable[int], n_vocabulary: int) -> npt.NDArray[np.int32]:
    """`tokens` as (T,) int32.

    Raises
    ------
    UsageError
        One is no integer, or not in the vocabulary.
    """
    try:
        array = np.asarray(tokens if isinstance(tokens, np.ndarray) else list(tokens))
    except (TypeError, ValueError):
        raise UsageError(f"tokens are {tokens!r:.80}, expected (T,) integers") from None
    if not array.size:
        return np.zeros(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"tokens are {array.shape} {array.dtype}, expected (T,) integers")
    outside = (array < 0) | (array >= n_vocabulary)
    if outside.any():
        raise UsageError(f"token {array[outside][0]} is not in the vocabulary of {n_vocabulary}")
    return np.ascontiguousarray(array, np.int32)


def require_room(n_tokens: int, capacity: int) -> None:
    """Refuse more tokens than a context holds.

    Raises
    ------
    ContextOverflow
        There are.
    """
    if n_tokens > capacity:
        raise ContextOverflow(
            f"{n_tokens} tokens, the context holds {capacity}",
            hint="Shorten the text, or load the model with a longer context if it has one.",
        )


def checked_flag(name: str, value: object) -> bool:
    """`value`, which must be True or False.

    Raises
    ------
    UsageError
        It is something else, if only 1.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise UsageError(f"{name} is {value!r:.80}, expected True or False")


def checked_several(name: str, values: Iterable[Each], of: str) -> Iterable[Each]:
    """`values`, which must be an iterable, and not a single text.

    Raises
    ------
    UsageError
        They are something else; `of` says what they should be.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        return values
    raise UsageError(f"{name} are {values!r:.80}, expected an iterable of {of}")


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
