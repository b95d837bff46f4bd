"""How large a file may be; budgets that none fits are refused before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass

from aboard.errors import UsageError
from aboard.fitting.budget import Budget
from aboard.fitting.sizes import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes that a file may have.

    Attributes
    ----------
    size_bytes : int or None
        Of the whole file, where that is limited.
    memory_bytes : int or None
        Of its weights once they are loaded, where that is.
    smallest_bytes : int
        Of the smallest file there can be.
    """

    size_bytes: int | None = None
    memory_bytes: int | None = None
    smallest_bytes: int


def limits_of(budget: Budget, n_weights: int, in_file: Sizes, in_memory: Sizes) -> Limits:
    """What `budget` allows to a checkpoint of so many weights.

    Raises
    ------
    UsageError
        No file is so small; the message says how small one can be.
    """
    smallest = in_file.smallest
    if budget.room is not None:
        budget.room.require(in_memory.smallest)
        return Limits(memory_bytes=budget.room.weights_bytes, smallest_bytes=smallest)
    size_bytes = budget.bytes_of(n_weights)
    if size_bytes is not None and budget.is_usual:
        size_bytes = max(size_bytes, smallest)
    if size_bytes is not None and size_bytes < smallest:
        raise UsageError(
            f"no file of {size_bytes:,} bytes is possible: the smallest has {smallest:,} bytes, "
            f"{8 * smallest / n_weights:.2f} bits a weight",
            hint=f"Ask for --size {-(-smallest // 1000)}kB or more, or take a smaller model.",
        )
    return Limits(size_bytes=size_bytes, smallest_bytes=smallest)
