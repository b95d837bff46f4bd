"""Merges by the million: pairs of tokens as bytes, decoded when asked for.

As Python objects the merges of a tokenizer.json take ten times the room that they have in the file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from aboard.checkpoint.gguf_strings import StringArray, StringCollector

Pair = tuple[str, str]


class MergeList(Sequence[Pair]):
    """Pairs of tokens in order of rank; of a pair that comes twice the last rank holds.

    Attributes
    ----------
    joined : StringArray
        Each pair with a space between, as GGUF has it.
    """

    __slots__ = ("_lengths", "joined")

    def __init__(self, joined: StringArray, lengths: array[int]) -> None:
        self.joined = joined
        self._lengths = lengths  # of the left halves, in characters: a half may hold spaces, too

    def __len__(self) -> int:
        return len(self._lengths)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return [self[each] for each in chosen]
        joined, length = self.joined[chosen], self._lengths[chosen]
        return joined[:length], joined[length + 1 :]

    def __iter__(self) -> Iterator[Pair]:
        for joined, length in zip(self.joined, self._lengths, strict=True):
            yield joined[:length], joined[length + 1 :]


class MergeCollector:
    """Takes pairs of tokens, by rank, until they are a `MergeList`."""

    def __init__(self) -> None:
        self._joined = StringCollector()
        self._lengths = array("I")
        self._ids = array("q")

    def append(self, left: str, right: str, left_id: int, right_id: int) -> None:
        """Take a pair, whose ids, 0 to 2147483647, tell it from others."""
        self._joined.append(f"{left} {right}".encode())
        self._lengths.append(len(left))
        self._ids.append(left_id << 32 | right_id)

    def collected(self) -> MergeList:
        """All pairs, no more of which can be taken."""
        found = MergeList(self._joined.collected(), self._lengths)
        _, from_end = np.unique(np.array(self._ids, np.int64)[::-1], return_index=True)
        if from_end.size == len(found):
            return found
        lasts = np.sort(len(found) - 1 - from_end).tolist()
        joined = StringArray.of([found.joined[i] for i in lasts])
        return MergeList(joined, array("I", [self._lengths[i] for i in lasts]))
