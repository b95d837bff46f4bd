"""SentencePiece BPE (GGUF tokenizer model 'llama'): the merge with the highest score goes first.

Written here because a ranked list of merges can't say the same: where scores tie, the leftmost
pair wins, and a pair may merge although one half isn't a token. It also starts in a fraction of
the time, as no merge has to be derived (262,144 tokens: bench in the tokenizer's docstring).
"""

from __future__ import annotations

import re
from heapq import heapify, heappop, heappush

from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata
from aboard.errors import TokenizerError, UsageError

SPACE = "▁"
_CACHED_WORDS = 16_384
_CACHED_CHARS = 48


class SentencePieceEncoder:
    """Encodes and spells plain text: no special token is known here.

    Control and byte tokens are left out of the vocabulary, so no text can become one. A character
    without a token is spelled in byte tokens, or else is the unknown token.
    """

    adds_bos = True

    def __init__(self, meta: TokenizerMetadata) -> None:
        if meta.pre not in (None, "default"):
            raise TokenizerError(
                f"pre-tokenizer {meta.pre!r} is unknown for tokenizer model 'llama'",
                hint="The model needs a newer Aboard; report the model's name.",
            )
        assert meta.scores is not None  # read_tokenizer_metadata saw to it
        self._tokens = meta.tokens
        self._scores = meta.scores
        self._ids = meta.ids.copy()
        for token_id in (*meta.control, *meta.byte_ids.values()):
            del self._ids[meta.tokens[token_id]]
        self._byte_ids = meta.byte_ids
        self._byte_of = {token_id: byte for byte, token_id in meta.byte_ids.items()}
        self._unknown_id = meta.unknown_id
        self.adds_space = meta.add_space_prefix is not False
        self._cut = _word_boundary(meta.tokens)
        self._cache: dict[str, list[int]] = {}

    def prepare(self, text: str) -> str:
        """`text` with each space as the mark by which tokens spell it."""
        return text.replace(" ", SPACE)

    def restore(self, token: str) -> bytes:
        """The bytes of a token's text, spaces restored."""
        return token.replace(SPACE, " ").encode()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of a prepared `text`; `at_start`: it begins the input or a special precedes."""
        if at_start and self.adds_space:
            text = SPACE + text
        ids: list[int] = []
        for word in self._cut.split(text):
            found = self._cache.get(word)
            if found is None:
                found = self._merge(word)
                if len(word) <= _CACHED_CHARS:
                    if len(self._cache) >= _CACHED_WORDS:
                        self._cache.clear()
                    self._cache[word] = found
            ids += found
        return ids

    def _merge(self, word: str) -> list[int]:
        """The ids of a word in O(n log n): each step merges the best pair, the leftmost of equals.

        `ends[i]` is where the symbol that starts at `i` ends, 0 once it was swallowed by the one
        to its left; `starts[j]` is where the symbol that ends at `j` starts.
        """
        ids, scores, n = self._ids, self._scores, len(word)
        ends = list(range(1, n + 1))
        starts = list(range(-1, n))
        queue = []
        for i in range(n - 1):
            merged = ids.get(word[i : i + 2])
            if merged is not None:
                queue.append((-scores[merged], i, i + 1, i + 2))
        heapify(queue)
        while queue:
            _, left, middle, right = heappop(queue)
            if ends[left] != middle or ends[middle] != right:
                continue  # one of the two has grown or is gone
            ends[left], ends[middle], starts[right] = right, 0, left
            if left > 0:
                merged = ids.get(word[starts[left] : right])
                if merged is not None:
                    heappush(queue, (-scores[merged], starts[left], left, right))
            if right < n:
                merged = ids.get(word[left : ends[right]])
                if merged is not None:
                    heappush(queue, (-scores[merged], left, right, ends[right]))
        found, i = [], 0
        while i < n:
            token_id = ids.get(word[i : ends[i]])
            if token_id is None:
                found += self._spell(word[i])
            else:
                found.append(token_id)
            i = ends[i]
        return found

    def _spell(self, character: str) -> list[int]:
        try:
            return [self._byte_ids[byte] for byte in character.encode()]
        except KeyError:
            if self._unknown_id is not None:
                return [self._unknown_id]
        raise UsageError(
            f"the model has no token for {character!r}",
            hint="Take the character out: the model can't read it.",
        )

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""
        byte = self._byte_of.get(token_id)
        if byte is not None:
            return bytes([byte])
        return self.restore(self._tokens[token_id])


def _word_boundary(tokens: list[str]) -> re.Pattern[str]:
    """Where a text can be cut without changing its tokens.

    Before a space mark, unless a token holds the character before it and the mark side by side.
    """
    before = "".join({SPACE, *re.findall(f"(.){SPACE}", "\n".join(tokens), re.DOTALL)})
    return re.compile(f"(?<=[^{re.escape(before)}])(?={SPACE})")
