"""Merging the neighbours of a word in order of priority, which is what every BPE does.

Written here, as the libraries want every merge and token as an object of theirs before they merge
two: most of the time and memory that a start took (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Found = TypeVar("Found")


def merge(word: str, priority: Callable[[str, str], float | None]) -> list[str]:
    """The symbols that are left of `word` when no two neighbours can be merged any more.

    Each step merges the pair of the lowest priority, the leftmost of equals; in O(n log n).

    Parameters
    ----------
    word : str
        Its characters are the first symbols.
    priority : callable
        Of two neighbours; None where they can't be merged.
    """
    # `ends[i]` is where the symbol that starts at `i` ends, 0 once it was swallowed by the one to
    # its left; `starts[j]` is where the symbol that ends at `j` starts.
    n = len(word)
    ends = list(range(1, n + 1))
    starts = list(range(-1, n))
    queue = []
    for i in range(n - 1):
        first = priority(word[i], word[i + 1])
        if first is not None:
            queue.append((first, i, i + 1, i + 2))
    heapify(queue)
    while queue:
        _, left, middle, right = heappop(queue)
        if ends[left] != middle or ends[middle] != right:
            continue  # one of the two has grown or is gone
        ends[left], ends[middle], starts[right] = right, 0, left
        symbol = word[left:right]
        if left > 0:
            before = starts[left]
            found = priority(word[before:left], symbol)
            if found is not None:
                heappush(queue, (found, before, left, right))
        if right < n:
            behind = ends[right]
            found = priority(symbol, word[right:behind])
            if found is not None:
                heappush(queue, (found, left, right, behind))
    symbols, i = [], 0
    while i < n:
        symbols.append(word[i : ends[i]])
        i = ends[i]
    return symbols


class WordCache(Generic[Found]):
    """What was found for words that came before; bounded, so that no text can fill the memory."""

    MAX_WORDS, MAX_CHARS = 16_384, 48

    def __init__(self, encode: Callable[[str], Found], max_words: int = MAX_WORDS) -> None:
        self._encode = encode
        self._max_words = max_words
        self._found: dict[str, Found] = {}

    def found(self, word: str) -> Found:
        """What `encode` gives for `word`."""
        found = self._found.get(word)
        if found is None:
            found = self._encode(word)
            if len(word) <= self.MAX_CHARS:
                if len(self._found) >= self._max_words:
                    self._found.clear()
                self._found[word] = found
        return found
