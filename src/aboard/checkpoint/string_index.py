"""Finding a string among a quarter of a million, without a Python object for each.

To make dicts of a vocabulary was most of a start (docs/experiments.md). Here NumPy hashes all
strings at once into an open-addressed table of four bytes a slot, and what is found is compared
byte by byte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.gguf_strings import StringArray

_WORD = 8
_BITS = (1 << 64) - 1
_SEED, _FACTOR, _FOLD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 32
_MASKS = [(1 << 8 * n) - 1 for n in range(_WORD + 1)]
_AT_ONCE = 1 << 15
# SmolLM2's vocabulary needs 11, Gemma 3's 12; one that was made to need more gets a dict.
_MAX_PROBES = 48
# A dict finds a string in a 25th of the time; so many look-ups for each string pay for making it.
_MANY = 1 / 8

_UInt64s = npt.NDArray[np.uint64]
_Int64s = npt.NDArray[np.int64]


class StringIndex:
    """The index of each string of an array.

    Attributes
    ----------
    strings : StringArray
        What is looked in.
    repeated : tuple of two int, or None
        The index of the first string that stands there again later, and the last index it has.
    """

    def __init__(self, strings: StringArray) -> None:
        self.strings = strings
        self.repeated: tuple[int, int] | None = None
        self._dict: dict[str, int] | None = None
        self._n_left = int(len(strings) * _MANY)
        starts, ends = strings.spans
        self._bits = max(2 * len(strings), 2).bit_length()
        table = np.full(1 << self._bits, -1, np.int32)
        self._hashes = _hashes(strings.octets, starts, ends)
        self._table = table.data
        if not self._fill(table):
            self._use_dict()

    def find(self, text: str) -> int | None:
        """The index of `text`, None where it isn't among the strings."""
        if self._dict is not None:
            return self._dict.get(text)
        self._n_left -= 1
        if self._n_left < 0:
            self._use_dict()
        octets = text.encode()
        hashed = _hash(octets)
        slot, step = hashed >> 64 - self._bits, hashed | 1
        for _ in range(_MAX_PROBES):
            found = self._table[slot]
            if found < 0:
                return None
            if self.strings.holds(found, octets):
                return found
            slot = slot + step & (1 << self._bits) - 1
        return None

    def find_all(
        self, octets: npt.NDArray[np.uint8], starts: _Int64s, ends: _Int64s
    ) -> npt.NDArray[np.int32]:
        """The index of each string from `starts` to `ends` in `octets`, -1 where it isn't there.

        Eight bytes from each start must be readable. By hash alone: one string in 2**64 may be
        taken for another, and so may one that was made to.
        """
        if self._dict is not None:
            spans = zip(starts.tolist(), ends.tolist(), strict=True)
            texts = (str(octets[a:b].data, "utf-8", "surrogateescape") for a, b in spans)
            return np.array([self._dict.get(text, -1) for text in texts], np.int32)
        wanted = _hashes(octets, starts, ends)
        slots = (wanted >> np.uint64(64 - self._bits)).astype(np.int64)
        table, hashes = np.asarray(self._table), self._hashes
        indices = np.full(wanted.size, -1, np.int32)
        asked = np.arange(wanted.size)
        for _ in range(_MAX_PROBES):
            found = table[slots[asked]]
            asked, found = asked[found >= 0], found[found >= 0]
            same = hashes[found] == wanted[asked]
            indices[asked[same]] = found[same]
            asked = asked[~same]
            if not asked.size:
                break
            slots[asked] = self._next(slots[asked], wanted[asked])
        return indices

    def _fill(self, table: npt.NDArray[np.int32]) -> bool:
        """Put every index into `table`; False where it takes too long or two hashes are equal."""
        hashes = self._hashes
        slots = (hashes >> np.uint64(64 - self._bits)).astype(np.int64)
        left = np.arange(hashes.size, dtype=np.int32)
        for _ in range(_MAX_PROBES):
            free = left[table[slots[left]] < 0]
            table[slots[free]] = free  # where several want the same slot one of them gets it
            holder = table[slots[left]]
            left, holder = left[holder != left], holder[holder != left]
            if not left.size:
                return True
            if (hashes[holder] == hashes[left]).any():
                return False
            slots[left] = self._next(slots[left], hashes[left])
        return False

    def _next(self, slots: _Int64s, hashes: _UInt64s) -> _Int64s:
        mask = (1 << self._bits) - 1
        step = (hashes & np.uint64(mask) | np.uint64(1)).astype(np.int64)
        return slots + step & mask

    def _use_dict(self) -> None:
        strings = list(self.strings)
        found = dict(zip(strings, range(len(strings)), strict=True))
        if len(found) != len(strings):
            first = next(i for i, string in enumerate(strings) if found[string] != i)
            self.repeated = first, found[strings[first]]
        self._dict = found


def _hashes(octets: npt.NDArray[np.uint8], starts: _Int64s, ends: _Int64s) -> _UInt64s:
    """A hash of each string from `starts` to `ends` in `octets`; what `_hash` gives for one."""
    hashed = np.empty(starts.size, np.uint64)
    words = np.ndarray((octets.size - _WORD + 1,), "<u8", octets, strides=(1,))
    masks = np.array(_MASKS, np.uint64)
    for first in range(0, starts.size, _AT_ONCE):
        at, left = starts[first : first + _AT_ONCE], ends[first : first + _AT_ONCE]
        left = left - at
        found = left.astype(np.uint64) * np.uint64(_SEED)
        chosen = np.flatnonzero(left > 0)
        while chosen.size:
            word = words[at[chosen]] & masks[np.minimum(left[chosen], _WORD)]
            mixed = (found[chosen] ^ word) * np.uint64(_FACTOR)
            found[chosen] = mixed ^ mixed >> np.uint64(_FOLD)
            at, left = at + _WORD, left - _WORD
            chosen = chosen[left[chosen] > 0]
        hashed[first : first + _AT_ONCE] = found * np.uint64(_FACTOR)
    return hashed


def _hash(octets: bytes) -> int:
    hashed = len(octets) * _SEED & _BITS
    for start in range(0, len(octets), _WORD):
        word = int.from_bytes(octets[start : start + _WORD], "little")
        mixed = (hashed ^ word) * _FACTOR & _BITS
        hashed = mixed ^ mixed >> _FOLD
    return hashed * _FACTOR & _BITS
