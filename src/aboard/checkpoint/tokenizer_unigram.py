"""Unigram (GGUF tokenizer model 't5', arXiv:1804.10959): of all ways to cut a text the likeliest.

Written here, as SentencePiece adds log-probabilities in float32 where the `tokenizers` library adds
them in float64, and of two ways that are nearly as likely each takes its own.
"""

from __future__ import annotations

from array import array

import numpy as np

from aboard.checkpoint.tokenizer_fields import CONVERT_AGAIN
from aboard.checkpoint.tokenizer_merging import WordCache
from aboard.checkpoint.tokenizer_metadata import NORMAL, TokenizerMetadata
from aboard.checkpoint.tokenizer_spm import SentencePieceEncoder
from aboard.errors import TokenizerError

MAX_PIECE_CHARS = 256  # SentencePiece's own default is 16
_UNKNOWN = -1
_UNKNOWN_PENALTY = 10.0  # below the least likely piece; SentencePiece's kUnkPenalty
_MAX_WORDS = 2048  # in the cache, of 10 kB each at most

# What may begin at a character: where it ends, its id and its log-probability.
Beginning = list[tuple[int, int, float]]


class UnigramEncoder(SentencePieceEncoder):
    """Encodes and spells plain text: no special token is known here.

    Raises
    ------
    TokenizerError
        There is no ordinary piece, one is too long, or there is no unknown token.
    """

    adds_bos = False
    space_by_default = False

    def __init__(self, meta: TokenizerMetadata) -> None:
        super().__init__(meta)
        if meta.unknown_id is None:
            raise TokenizerError(
                "tokenizer.ggml.unknown_token_id is missing, which a Unigram model needs",
                hint=CONVERT_AGAIN,
            )
        ordinary = np.flatnonzero(meta.types == NORMAL).tolist()
        scores = np.asarray(meta.scores, np.float32)
        self._pieces = {meta.tokens[i]: (i, float(scores[i])) for i in ordinary}
        if not self._pieces:
            raise TokenizerError("the Unigram vocabulary has no ordinary piece", hint=CONVERT_AGAIN)
        longest = max(self._pieces, key=len)
        if len(longest) > MAX_PIECE_CHARS:
            raise TokenizerError(
                f"piece {longest[:40]!r} has {len(longest)} characters, expected at most "
                f"{MAX_PIECE_CHARS}",
                hint=CONVERT_AGAIN,
            )
        least = np.float32(min(score for _, score in self._pieces.values()))
        self._unknown_score = float(least - np.float32(_UNKNOWN_PENALTY))
        lengths: dict[str, set[int]] = {}
        for text in self._pieces:
            lengths.setdefault(text[:2], set()).add(len(text))
        # By the first two characters, so that few lengths are tried; a piece of one has one.
        self._lengths = {start: sorted(found) for start, found in lengths.items()}
        self._beginnings = WordCache(self._find_beginnings, _MAX_WORDS)

    def _ids(self, words: list[str]) -> list[int]:
        ids: list[int] = []
        total = 0.0
        for word in words:
            pieces, total = self._likeliest(word, total)
            for begin, end, token_id in pieces:
                ids += self._spell(word[begin:end]) if token_id == _UNKNOWN else [token_id]
        return ids

    def _likeliest(self, word: str, before: float) -> tuple[list[tuple[int, int, int]], float]:
        """The pieces of `word` that follow a text of log-probability `before`, and that of both.

        The same float32 sums as SentencePiece 0.2.3's EncodeOptimized, in the same order; of equals
        the one that begins first is kept. (A sum of two float32 numbers is the same by way of
        float64.)
        """
        rounded = array("f", (0.0,))
        totals = array("f", bytes(4 * (len(word) + 1)))
        totals[0] = before
        kept: list[tuple[int, int] | None] = [None] * (len(word) + 1)
        for begin, beginning in enumerate(self._beginnings.found(word)):
            so_far = totals[begin]
            for end, token_id, score in beginning:
                rounded[0] = so_far + score
                candidate = rounded[0]
                if kept[end] is None or candidate > totals[end]:
                    totals[end], kept[end] = candidate, (begin, token_id)
        pieces: list[tuple[int, int, int]] = []
        end = len(word)
        while (last := kept[end]) is not None:
            pieces.append((last[0], end, last[1]))
            end = last[0]
        return pieces[::-1], totals[-1]

    def _find_beginnings(self, word: str) -> list[Beginning]:
        """What may begin at each character of `word`, the shortest first."""
        return [self._beginning(word, begin) for begin in range(len(word))]

    def _beginning(self, word: str, begin: int) -> Beginning:
        found: Beginning = []
        single = self._pieces.get(word[begin])
        if single is not None:
            found.append((begin + 1, *single))
        for length in self._lengths.get(word[begin : begin + 2], ()):
            piece = self._pieces.get(word[begin : begin + length])
            if piece is not None and 1 < length <= len(word) - begin:
                found.append((begin + length, *piece))
        if single is None:
            found.append((begin + 1, _UNKNOWN, self._unknown_score))
        return found
