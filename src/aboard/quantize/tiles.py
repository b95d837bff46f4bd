"""Large square matrices taken tile by tile: what is made of a tile is small; threads share them.

Which tiles there are depends on the matrix alone, so no result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WHOLE = 2048
"""Columns up to which a matrix is one tile: 16 MiB of float32."""
_TILE = 1024

Given = TypeVar("Given")


def tiles(n: int) -> list[slice]:
    """Which of `n` columns, or rows, each tile has."""
    step = n if n <= WHOLE else _TILE
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]


def upper_tiles(n: int) -> list[tuple[slice, slice]]:
    """The rows and columns of the tiles on the diagonal and above it."""
    found = tiles(n)
    return [(rows, columns) for at, rows in enumerate(found) for columns in found[at:]]


def on_threads(work: Callable[[Given], None], given: Iterable[Given], threads: int) -> None:
    """Do `work` with each of `given`: in order, or on several threads where there are several."""
    if threads <= 1:
        for each in given:
            work(each)
        return
    with ThreadPoolExecutor(threads, "aboard-tiles") as pool:
        for _ in pool.map(work, given):  # raises what `work` does
            pass
