"""Arrays of strings as GGUF files hold them by the hundred thousand: bytes, decoded when asked for.

As Python strings a vocabulary takes five times the bytes that it has in the file.
"""

from __future__ import annotations

import codecs
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import overload

import numpy as np

_CHECKED_AT_ONCE = 1 << 16


class StringArray(Sequence[str]):
    """An immutable sequence of strings.

    Parameters
    ----------
    content : bytes-like
        The UTF-8 of all strings, one after the other.
    ends : array of unsigned integers
        Where each string ends in `content`.
    """

    __slots__ = ("_content", "_ends")

    def __init__(self, content: bytes | bytearray, ends: array[int]) -> None:
        self._content = memoryview(content)
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return [self[each] for each in chosen]
        start = self._ends[chosen - 1] if chosen else 0
        return str(self._content[start : self._ends[chosen]], "utf-8")

    def __iter__(self) -> Iterator[str]:
        content = self._content
        return (str(content[start:end], "utf-8") for start, end in self._borders())

    def __repr__(self) -> str:
        return f"<{len(self)} strings, the first {self[:3]}>"

    def first_invalid(self) -> int | None:
        """The number of the first string that is not UTF-8, None where all are.

        All strings are valid where they are valid together and none begins within a character:
        two passes at the speed of C, in place of one call per string.
        """
        if not len(self._content):
            return None
        octets = np.frombuffer(self._content, np.uint8)
        borders = np.frombuffer(self._ends, f"u{self._ends.itemsize}")
        starts = borders[borders < len(octets)]
        if _is_utf8(self._content) and not np.any(octets[starts] & 0xC0 == 0x80):
            return None
        invalid = (
            number
            for number, (start, end) in enumerate(self._borders())
            if not _is_utf8(self._content[start:end])
        )
        return next(invalid, None)

    def _borders(self) -> Iterator[tuple[int, int]]:
        return pairwise(chain((0,), self._ends))


def _is_utf8(content: memoryview) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _CHECKED_AT_ONCE):
            decoder.decode(content[start : start + _CHECKED_AT_ONCE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
