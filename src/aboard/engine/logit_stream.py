"""The logits of many sequences, one after the other, in blocks of a few rows.

Nothing of the vocabulary's size is kept: a block is given out and made anew. What a sequence has
in common with the one before it is not computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.closing import Closing
from aboard.engine.arguments import require_room
from aboard.engine.forward_pass import compute_unchecked, no_memory_for_context
from aboard.engine.session import PROMPT_CHUNK
from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard._native import KvCache
    from aboard.engine.model import Model

_BLOCK_LOGITS = 1 << 24  # 64 MiB


def block_rows(model: Model) -> int:
    """Of how many tokens at a time the logits are computed, where those of all are wanted."""
    return max(1, min(PROMPT_CHUNK, _BLOCK_LOGITS // model.config.n_vocabulary))


class LogitStream(Closing):
    """One KV cache on a model, for logits that are wanted of many tokens.

    Parameters
    ----------
    model : Model
        The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.block_rows = block_rows(model)
        self._held: list[int] = []
        try:
            self._cache: KvCache | None = model.decoder.new_cache(model.context_length)
        except MemoryError:
            raise no_memory_for_context(model) from None

    def close(self) -> None:
        """Give the KV cache's memory back."""
        self._cache = None

    def blocks(
        self, tokens: Sequence[int], *, first: int = 0
    ) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """The logits after each of `tokens` from index `first` on.

        Parameters
        ----------
        tokens : sequence of int
            A whole sequence, at least one token.
        first : int
            Below the number of tokens.

        Yields
        ------
        int, (t, V) float32
            The index of the token that the first row follows, and the rows, of at most
            `block_rows` tokens. They are what the model computes, NaN and infinity included.

        Raises
        ------
        ContextOverflow
            The tokens don't fit the context.
        UsageError
            There are none, one is not in the vocabulary, or the stream is closed.
        """
        ids = self.model.checked_tokens(tokens)
        if self._cache is None:
            raise UsageError("the stream of logits is closed")
        if not 0 <= first < ids.size:
            raise UsageError(f"logits wanted from token {first} of {ids.size}")
        require_room(ids.size, self._cache.capacity)
        # Models with convolutions go back further than they were asked to.
        self._cache.truncate(_common(self._held, ids, first))
        self._held = self._held[: self._cache.size]
        while len(self._held) < ids.size:
            begin = len(self._held)
            part = ids[begin : begin + self.block_rows]
            wanted = range(max(first - begin, 0), part.size)
            rows = compute_unchecked(self.model, part, [self._cache], wanted)
            self._held += part.tolist()
            if wanted:
                yield begin + wanted.start, rows


def _common(held: list[int], ids: npt.NDArray[np.int32], most: int) -> int:
    """How many tokens both begin with, at most `most`."""
    for i in range(min(len(held), most)):
        if held[i] != ids[i]:
            return i
    return min(len(held), most)
