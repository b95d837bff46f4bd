"""Sets of characters, as sorted ranges of code points that neither touch nor overlap.

Surrogates are no characters: no text in UTF-8 has them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

Ranges = tuple[tuple[int, int], ...]
"""First and last code point of each range."""

LAST = 0x10FFFF
EVERY: Ranges = ((0, 0xD7FF), (0xE000, LAST))


def ranges(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """The characters of `pairs`, which may overlap and come in any order."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return shared(tuple(merged), EVERY)


def union(one: Ranges, other: Ranges) -> Ranges:
    """The characters of either."""
    return ranges((*one, *other))


def shared(one: Ranges, other: Ranges) -> Ranges:
    """The characters of both."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


@lru_cache(maxsize=512)
def complement(one: Ranges) -> Ranges:
    """All other characters."""
    gaps: list[tuple[int, int]] = []
    at = 0
    for first, last in one:
        if first > at:
            gaps.append((at, first - 1))
        at = last + 1
    if at <= LAST:
        gaps.append((at, LAST))
    return shared(tuple(gaps), EVERY)


def minus(one: Ranges, other: Ranges) -> Ranges:
    """The characters of the one that aren't the other's."""
    return shared(one, complement(other))


def contains(one: Ranges, code: int) -> bool:
    """Whether the character is one of them."""
    at = bisect_right(one, (code, LAST)) - 1
    return at >= 0 and code <= one[at][1]


def of(text: str) -> Ranges:
    """The characters of `text`."""
    return ranges((ord(letter), ord(letter)) for letter in text)


def size(one: Ranges) -> int:
    """How many they are."""
    return sum(last - first + 1 for first, last in one)
