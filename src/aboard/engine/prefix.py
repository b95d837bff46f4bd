"""The prefix cache: keys and values of beginnings that come again, such as a system prompt.

Chunks of 64 tokens form a tree: a chunk hangs below the chunk of the 64 tokens before it. A chunk
is found by its very tokens and those of all chunks above it, never by a hash of them, so that no
collision can mix up two texts. What a hit gives are the bytes that a computation would give, by the
numerics contract. Of models with delta nets nothing is kept: chunks are not all they go on from.
What is pinned stays, and is beside the budget: room for it is not taken from other prompts.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aboard.engine.arguments import checked_integer

if TYPE_CHECKING:
    import numpy.typing as npt

    from aboard._native import KvCache, SharedChunk

PREFIX_CACHE_BYTES = 128 << 20
"""Default budget: 5,800 tokens of a model of 135 million parameters, 4,096 of one of a billion."""

_TOKEN = np.dtype(">u4")  # big-endian: texts sort by their tokens
_MAX_BYTES = 1 << 62


@dataclass(frozen=True, slots=True)
class PrefixStats:
    """What a prefix cache holds and what it was good for."""

    size_bytes: int
    """Of the chunks held; those of running sequences are counted, too."""
    pinned_bytes: int
    """Those of them that stay, whatever the budget."""
    n_chunks: int
    asked_tokens: int
    """Tokens of all prompts that were looked up."""
    found_tokens: int
    """Those of them that were not computed again."""


class _Node:
    """A chunk, or the root, with the chunks that follow it."""

    __slots__ = ("children", "chunk", "key", "pinned", "sorted_keys")

    def __init__(self, key: bytes, chunk: SharedChunk | None) -> None:
        self.key = key
        self.chunk = chunk
        self.pinned = False  # if it is, so are all above it
        self.children: dict[bytes, _Node] = {}
        self.sorted_keys: list[bytes] = []

    def add(self, key: bytes, chunk: SharedChunk) -> _Node:
        self.children[key] = node = _Node(key, chunk)
        insort(self.sorted_keys, key)
        return node

    def remove(self, key: bytes) -> None:
        del self.children[key]
        del self.sorted_keys[bisect_left(self.sorted_keys, key)]

    def closest(self, key: bytes) -> tuple[_Node | None, int]:
        """The child that shares the most leading tokens with `key`, and how many they are."""
        at = bisect_left(self.sorted_keys, key)
        best, longest = None, 0
        for neighbour in self.sorted_keys[max(at - 1, 0) : at + 1]:
            n_tokens = _n_alike(key, neighbour)
            if n_tokens > longest:
                best, longest = self.children[neighbour], n_tokens
        return best, longest


class PrefixCache:
    """Chunks of keys and values by the tokens that lead up to them; threads may share it.

    Parameters
    ----------
    budget_bytes : int
        At most so much is held beside what is pinned; what was not used for the longest time goes
        first. 0 holds nothing.

    Raises
    ------
    UsageError
        `budget_bytes` is no integer from 0.
    """

    def __init__(self, budget_bytes: int = PREFIX_CACHE_BYTES) -> None:
        self.budget_bytes = checked_integer("prefix_cache_bytes", budget_bytes, 0, _MAX_BYTES)
        self._lock = threading.Lock()
        self._chunk_bytes = 0
        self._asked = self._found = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything, what is pinned, too."""
        with self._lock:
            self._root = _Node(b"", None)
            self._n_pinned = 0
            # All that may go, each with the one above it; from the longest unused to the last used.
            # What hangs below a chunk stands before it.
            self._by_use: OrderedDict[_Node, _Node] = OrderedDict()

    @property
    def stats(self) -> PrefixStats:
        """What it holds now, and what it was good for so far."""
        with self._lock:
            n_chunks = len(self._by_use) + self._n_pinned
            return PrefixStats(
                size_bytes=n_chunks * self._chunk_bytes,
                pinned_bytes=self._n_pinned * self._chunk_bytes,
                n_chunks=n_chunks,
                asked_tokens=self._asked,
                found_tokens=self._found,
            )

    def adopt(self, cache: KvCache, tokens: Sequence[int] | npt.NDArray[np.int32]) -> int:
        """Add to `cache`, which holds the first of `tokens` or none, what else of them is known.

        The last token is always left to be computed: its logits are wanted.

        Returns
        -------
        int
            How many tokens the cache holds more than before.
        """
        before, step = cache.size, _chunk_tokens()
        if not (self.budget_bytes or self._n_pinned) or not cache.shares:
            return 0
        usable = _as_key(tokens[:-1])
        with self._lock:
            path, n_last = self._match(usable)
            if cache.whole_chunks and 0 < n_last < step:
                path, n_last = path[:-1], step
            n_known = (len(path) - 1) * step + n_last if path else 0
            self._asked += 0 if before else len(tokens)
            if n_known <= before:
                return 0
            self._use(path)
            self._found += n_known - before
        cache.truncate(before // step * step)
        for node in path[before // step :]:
            assert node.chunk is not None  # only the root has none
            cache.append_chunk(node.chunk, n_last if node is path[-1] else step)
        return n_known - before

    def keep(self, cache: KvCache, tokens: Sequence[int]) -> None:
        """Hold on to the full chunks of `cache`, which holds the first of `tokens`, or all."""
        n_chunks = cache.size // _chunk_tokens()
        if not self.budget_bytes or not n_chunks or not cache.shares:
            return
        with self._lock:
            self._chunk_bytes = cache.chunk_bytes
            node, path = self._root, []
            # More than the budget holds would drive itself out.
            room = self.budget_bytes // self._chunk_bytes
            try:
                for i, part in enumerate(_parts(tokens, n_chunks)):
                    known = node.children.get(part)
                    if known is None or not known.pinned:
                        if not room:
                            break
                        room -= 1
                    node = known or node.add(part, cache.share_chunk(i))
                    path.append(node)
            finally:
                self._use(path)
            while len(self._by_use) * self._chunk_bytes > self.budget_bytes:
                oldest, above = self._by_use.popitem(last=False)
                above.remove(oldest.key)

    def pin(self, cache: KvCache, tokens: Sequence[int]) -> int:
        """Hold on to the full chunks of `cache`, which holds `tokens`, until `clear`.

        Returns
        -------
        int
            Bytes of the chunks that were not pinned before.
        """
        n_chunks = cache.size // _chunk_tokens()
        if not cache.shares:
            return 0
        with self._lock:
            self._chunk_bytes = cache.chunk_bytes
            node, before = self._root, self._n_pinned
            for i, part in enumerate(_parts(tokens, n_chunks)):
                node = node.children.get(part) or node.add(part, cache.share_chunk(i))
                self._by_use.pop(node, None)
                self._n_pinned += not node.pinned
                node.pinned = True
            return (self._n_pinned - before) * self._chunk_bytes

    def _match(self, key: bytes) -> tuple[list[_Node], int]:
        """The chunks that `key` begins with, and how many tokens of the last of them to use."""
        step = _chunk_tokens() * _TOKEN.itemsize
        node, path, at = self._root, [], 0
        while (child := node.children.get(key[at : at + step])) is not None:
            path.append(child)
            node, at = child, at + step
        part, n_tokens = node.closest(key[at : at + step])
        if part is not None:
            return [*path, part], n_tokens
        return path, _chunk_tokens() if path else 0

    def _use(self, path: Sequence[_Node]) -> None:
        """Note that these were used; the first of them, which all others need, goes last."""
        for node, above in zip(path[::-1], [self._root, *path][-2::-1], strict=True):
            if not node.pinned:
                self._by_use[node] = above
                self._by_use.move_to_end(node)


def _n_alike(one: bytes, other: bytes) -> int:
    """How many leading tokens are the same."""
    length = min(len(one), len(other)) // _TOKEN.itemsize
    differing = np.frombuffer(one, _TOKEN, length) != np.frombuffer(other, _TOKEN, length)
    return int(differing.argmax()) if differing.any() else length


def _parts(tokens: Sequence[int], n_chunks: int) -> Iterator[bytes]:
    """The keys of the first `n_chunks` chunks of `tokens`."""
    key, step = _as_key(tokens), _chunk_tokens() * _TOKEN.itemsize
    return (key[at : at + step] for at in range(0, n_chunks * step, step))


def _as_key(tokens: Sequence[int] | npt.NDArray[np.int32]) -> bytes:
    return np.asarray(tokens, _TOKEN).tobytes()


def _chunk_tokens() -> int:
    from aboard import _native

    return _native.KEY_CHUNK
