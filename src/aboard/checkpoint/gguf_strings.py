"""Arrays of strings as GGUF files hold them by the hundred thousand: bytes, decoded when asked for.

As Python strings a vocabulary takes five times the bytes that it has in the file.
"""

from __future__ import annotations

import codecs
import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

# What stands before each string: its length in the file, NULs in memory. Between NULs, the UTF-8 of
# many strings is valid only where that of each is, and `split` finds their borders. NULs stand
# behind the last one too, so that eight bytes can be read wherever a string has one.
_BEFORE = struct.Struct("<Q")
_NULS = "\0" * _BEFORE.size
_AT_ONCE = 4096


class StringArray(Sequence[str]):
    """An immutable sequence of strings.

    Parameters
    ----------
    content : bytes-like
        The UTF-8 of all strings, with eight NULs before each and after the last.
    ends : array of unsigned integers
        Where each string ends in `content`.
    """

    __slots__ = ("_content", "_ends")

    def __init__(self, content: bytes | bytearray, ends: array[int]) -> None:
        self._content = memoryview(content)
        self._ends = ends

    @classmethod
    def of(cls, strings: Sequence[str]) -> StringArray:
        """An array of `strings`.

        Raises
        ------
        UnicodeEncodeError
            One holds half a surrogate pair.
        """
        collector = StringCollector()
        for string in strings:
            collector.append(string.encode())
        return collector.collected()

    @property
    def octets(self) -> npt.NDArray[np.uint8]:
        """The bytes between which `spans` tells where each string is; NULs lie around each."""
        return np.frombuffer(self._content, np.uint8)

    @property
    def spans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where each string begins in `octets`, and where it ends."""
        ends = np.array(self._ends, np.int64)
        starts = np.roll(ends, 1)
        starts[:1] = 0
        return starts + _BEFORE.size, ends

    def holds(self, index: int, octets: bytes) -> bool:
        """Whether the UTF-8 of string `index` is `octets`."""
        start = (self._ends[index - 1] if index else 0) + _BEFORE.size
        return self._content[start : self._ends[index]] == octets

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
        start = (self._ends[chosen - 1] if chosen else 0) + _BEFORE.size
        return str(self._content[start : self._ends[chosen]], "utf-8")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._decoded(first, min(first + _AT_ONCE, len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} strings, the first {self[:3]}>"

    def _decoded(self, first: int, end: int) -> list[str]:
        """The strings `first` to `end`, at a tenth of the cost of one by one."""
        start = self._ends[first - 1] if first else 0
        joined = str(self._content[start : self._ends[end - 1]], "utf-8")
        if joined.count("\0") == _BEFORE.size * (end - first):
            return joined.split(_NULS)[1:]
        return self[first:end]


class InvalidString(ValueError):
    """A string of an array is not UTF-8."""

    def __init__(self, number: int) -> None:
        super().__init__(f"holds string {number} that is not UTF-8")


class StringCollector:
    """Takes strings from the bytes of a file until they are a `StringArray`.

    `scan` and `append` raise InvalidString where one is not UTF-8.
    """

    def __init__(self) -> None:
        self._content = bytearray()
        self._ends = array("I")

    def __len__(self) -> int:
        return len(self._ends)

    def collected(self) -> StringArray:
        """All strings, no more of which can be taken."""
        self._content += bytes(_BEFORE.size)
        return StringArray(self._content, self._ends)

    def append(self, string: bytes) -> None:
        """Take one string."""
        if not _is_utf8(string):
            raise InvalidString(len(self))
        self._content += bytes(_BEFORE.size)
        self._content += string
        self._ends.append(len(self._content))

    def scan(self, window: bytes, start: int, count: int) -> int:
        """Take at most `count` strings that lie whole in `window`; where the next one begins."""
        first, whole = len(self), len(window)
        last, shift = whole - _BEFORE.size, len(self._content) - start
        ends = _chained(np.frombuffer(window, np.uint8)[start:], count)
        self._ends.frombytes((ends + len(self._content)).astype(np.uintc).tobytes())
        at = start + (int(ends[-1]) if ends.size else 0)
        unpack, append = _BEFORE.unpack_from, self._ends.append
        for _ in range(count - ends.size):  # 40 % faster than to copy string by string
            if at > last:
                break
            end = at + _BEFORE.size + unpack(window, at)[0]
            if end > whole:
                break
            append(end + shift)
            at = end
        if at > start:
            self._take_over(bytearray(window[start:at]), first)
        return at

    def _take_over(self, piece: bytearray, first: int) -> None:
        """Join `piece`, which holds the strings from `first` on behind their lengths."""
        ends = np.array(self._ends[first:], np.intp) - len(self._content)
        starts = np.concatenate([[0], ends[:-1]])
        octets = np.frombuffer(piece, np.uint8)
        longest = int((ends - starts).max()) - _BEFORE.size
        for _ in range(-(-longest.bit_length() // 8)):  # the further bytes of lengths are 0 already
            octets[starts] = 0
            starts += 1
        try:
            piece.decode()
        except UnicodeDecodeError as error:
            raise InvalidString(first + int(np.searchsorted(ends, error.start, "right"))) from None
        self._content += piece


def _chained(window: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
    """Where the first strings of `window` end, all found at once; at most `count`, maybe none.

    A length below 256 is a byte before seven NULs. Where each such byte is as far from the next as
    it says, they are the lengths. Strings that are long, empty or hold NULs end the chain.
    """
    nul = window[1:] == 0
    two = nul[:-1] & nul[1:]
    four = two[:-2] & two[2:]
    starts = np.flatnonzero(four[:-3] & four[3:])[:count]
    if not starts.size or starts[0] != 0:
        return starts[:0]
    ends = starts + _BEFORE.size + window[starts]
    broken = np.flatnonzero(starts[1:] != ends[:-1])
    if broken.size:
        ends = ends[: broken[0] + 1]
    return ends if ends[-1] <= window.size else ends[:-1]


def _is_utf8(content: bytes) -> bool:
    """Whether `content` is UTF-8, found without all of it as a string in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    try:
        for start in range(0, len(view), 1 << 16):
            decoder.decode(view[start : start + (1 << 16)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
