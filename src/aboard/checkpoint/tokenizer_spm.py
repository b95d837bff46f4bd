"""SentencePiece BPE (GGUF tokenizer model 'llama'): the merge with the highest score goes first.

A ranked list of merges can't say the same: where scores tie, the leftmost pair wins, and a pair may
merge although one half isn't a token.
"""

from __future__ import annotations

import re

import numpy as np

from aboard.checkpoint.gguf_strings import StringArray
from aboard.checkpoint.sentencepiece_normalizer import SentencePieceNormalizer
from aboard.checkpoint.tokenizer_merging import WordCache, merge
from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata
from aboard.errors import TokenizerError, UsageError

SPACE = "▁"


class SentencePieceEncoder:
    """Encodes and spells plain text: no special token is known here.

    Control and byte tokens are left out of the vocabulary, so no text can become one. A character
    without a token is spelled in byte tokens, or else is the unknown token.
    """

    adds_bos = True
    spaces_after_special = True
    space_by_default = True  # before a text, where the file is silent

    def __init__(self, meta: TokenizerMetadata) -> None:
        if meta.pre not in (None, "default"):
            raise TokenizerError(
                f"pre-tokenizer {meta.pre!r} is unknown for tokenizer model 'llama'",
                hint="The model needs a newer Aboard; report the model's name.",
            )
        assert meta.scores is not None  # read_tokenizer_metadata saw to it
        self._tokens = meta.tokens
        self._scores = meta.scores.data
        self._all_ids = meta.ids
        self._hidden = meta.control | frozenset(meta.byte_ids.values())
        self._byte_ids = meta.byte_ids
        self._byte_of = {token_id: byte for byte, token_id in meta.byte_ids.items()}
        self._unknown_id = meta.unknown_id
        self.adds_space = (
            self.space_by_default if meta.add_space_prefix is None else meta.add_space_prefix
        )
        self._removes = meta.removes_extra_spaces
        self._normalizer = None
        if meta.charsmap or self._removes:
            self._normalizer = SentencePieceNormalizer(
                meta.charsmap, removes_extra_spaces=self._removes
            )
        self._cut = word_boundary(meta.tokens)
        self._words = WordCache(self._merge)

    def prepare(self, text: str) -> str:
        """`text` with each space as the mark by which tokens spell it, if it stays as it is."""
        return text.replace(" ", SPACE) if self._normalizer is None else text

    def looked_for(self, token: str) -> str:
        """What a user-defined token's text is in a prepared text."""
        return self.prepare(token if self._normalizer is None else token.replace(SPACE, " "))

    def restore(self, token: str) -> bytes:
        """The bytes of a token's text, spaces restored."""
        return token.replace(SPACE, " ").encode()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of a prepared `text`. A space goes before it wherever it stands."""
        if self._normalizer is not None:
            text = self._normalized(text)
            if self._removes and not text:
                return []
        if self.adds_space:
            text = SPACE + text
        ids = self._ids(self._cut.split(text))
        if self._byte_ids or self._unknown_id not in ids:
            return ids
        # Of unknown characters in a row SentencePiece makes one token.
        before = [None, *ids[:-1]]
        return [i for i, j in zip(ids, before, strict=True) if i != self._unknown_id or i != j]

    def _ids(self, words: list[str]) -> list[int]:
        """The ids of a text that was cut where no token lies across."""
        return [token_id for word in words for token_id in self._words.found(word)]

    def _normalized(self, text: str) -> str:
        assert self._normalizer is not None
        text = self._normalizer.normalize(text).replace(" ", SPACE)
        return text.rstrip(SPACE) if self._removes else text

    def _find(self, text: str) -> int | None:
        """The id of a token that text may become."""
        token_id = self._all_ids.find(text)
        return None if token_id in self._hidden else token_id

    def _priority(self, left: str, right: str) -> float | None:
        token_id = self._find(left + right)
        return None if token_id is None else -self._scores[token_id]

    def _merge(self, word: str) -> list[int]:
        ids = []
        for symbol in merge(word, self._priority):
            token_id = self._find(symbol)
            if token_id is None:
                ids += self._spell(symbol)
            else:
                ids.append(token_id)
        return ids

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


def word_boundary(tokens: StringArray) -> re.Pattern[str]:
    """Where a text can be cut without changing its tokens.

    Before a space mark, unless a token holds the character before it and the mark side by side.
    """
    octets, mark = tokens.octets, SPACE.encode()
    marks = octets[:-2] == mark[0]
    for i in (1, 2):
        marks &= octets[i : len(octets) - 2 + i] == mark[i]
    at = np.flatnonzero(marks)
    before = {SPACE, "\0"}  # a NUL is what stands before a token
    for end in at[octets[at - 1] != 0].tolist():
        start = end - 1
        while octets[start] & 0xC0 == 0x80:
            start -= 1
        before.add(octets[start:end].tobytes().decode())
    return re.compile(f"(?<=[^{re.escape(''.join(before))}])(?={SPACE})")
