"""Byte-level BPE (GGUF tokenizer model 'gpt2').

The `tokenizers` library cuts a text into words, as no other has its Unicode; they are merged here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from aboard.checkpoint.pretokenizers import build_pre_tokenizer, find_word_rule
from aboard.checkpoint.tokenizer_merging import WordCache, merge
from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata, space_marks
from aboard.errors import TokenizerError, UsageError


@lru_cache(maxsize=1)
def letter_of_byte() -> list[str]:
    """The letter that stands for each byte: itself where it prints, else one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


@lru_cache(maxsize=1)
def _byte_of_letter() -> dict[str, int]:
    return {letter: byte for byte, letter in enumerate(letter_of_byte())}


class ByteLevelEncoder:
    """Encodes and spells plain text: no special token is known here.

    Control tokens are left out of the vocabulary, so no text can become one. A byte that has no
    token is an error, where the library would drop it.
    """

    adds_space = False
    spaces_after_special = False

    def __init__(self, meta: TokenizerMetadata) -> None:
        from tokenizers.normalizers import NFC

        rule = find_word_rule(meta.pre)
        if meta.add_space_prefix:
            raise TokenizerError(
                "tokenizer.ggml.add_space_prefix is set for byte-level BPE",
                hint="No known family does this: convert the model again.",
            )
        assert meta.merges is not None  # read_tokenizer_metadata saw to it
        self._tokens = meta.tokens
        self._all_ids = meta.ids
        self._control = meta.control
        self._ranks = meta.merges
        self._whole_words_first = rule.whole_words_first
        # The library's, not Python's: one Unicode version for all, whatever Python runs this.
        self._normalizer = NFC() if rule.nfc else None
        self._pre_tokenizer = build_pre_tokenizer(rule)
        self.adds_bos = rule.add_bos
        self._known_bytes = bytes(
            byte for byte, letter in enumerate(letter_of_byte()) if self._find(letter) is not None
        )
        self._words = WordCache(self._merge)
        check_merges(meta, self._find)

    def prepare(self, text: str) -> str:
        """`text` as special tokens are looked for in it: as it is."""
        return text

    def looked_for(self, token: str) -> str:
        """What a user-defined token's text is in a prepared text: itself."""
        return token

    def restore(self, token: str) -> bytes:
        """The bytes of a special token's text."""
        return token.encode()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of `text`. Where it stands makes no difference to this model."""
        if self._normalizer is not None:
            text = self._normalizer.normalize_str(text)
        unknown = text.encode().translate(None, self._known_bytes)
        if unknown:
            raise UsageError(
                f"the model has no token for byte 0x{unknown[0]:02X} of the text",
                hint="Take the character out: the model can't read it.",
            )
        ids: list[int] = []
        for word, _ in self._pre_tokenizer.pre_tokenize_str(text):
            ids += self._words.found(word)
        return ids

    def _find(self, text: str) -> int | None:
        """The id of a token that text may become."""
        token_id = self._all_ids.find(text)
        return None if token_id in self._control else token_id

    def _rank(self, left: str, right: str) -> int | None:
        return self._ranks.find(f"{left} {right}")

    def _merge(self, word: str) -> list[int]:
        if self._whole_words_first:
            whole = self._find(word)
            if whole is not None:
                return [whole]
        ids = []
        for symbol in merge(word, self._rank):
            token_id = self._find(symbol)
            if token_id is None:  # the check is by hash, and a file can be made to pass it
                raise wrong_merges(f"makes {symbol[:80]!r}, which is no token")
            ids.append(token_id)
        return ids

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""
        token = self._tokens[token_id]
        byte_of = _byte_of_letter()
        try:
            return bytes([byte_of[letter] for letter in token])
        except KeyError:  # not made of byte letters: added as plain text
            return token.encode()


def check_merges(meta: TokenizerMetadata, find: Callable[[str], int | None]) -> None:
    """Refuse a merge whose result, or one of whose halves, is no token of plain text.

    Looked up by hash, all at once; `find` is asked for those that aren't there by their own text.
    """
    assert meta.merges is not None
    merges = meta.merges.strings
    octets, (starts, ends), spaces = merges.octets, merges.spans, space_marks(merges)
    is_plain = np.ones(len(meta.tokens) + 1, bool)
    is_plain[[*meta.control, -1]] = False  # -1: no token at all
    # One space goes in each, so each moves by as many bytes as there are others before it.
    order = np.arange(len(merges))
    joined = meta.ids.find_all(octets[octets != ord(" ")], starts - order, ends - order - 1)
    for bad in np.flatnonzero(~is_plain[joined]).tolist():
        left, right = merges[bad].split(" ")
        if find(left + right) is None:
            raise wrong_merges(f"joins {left[:40]!r} and {right[:40]!r}, which gives no token")
    for half, (first, last) in enumerate(((starts, spaces), (spaces + 1, ends))):
        found = meta.ids.find_all(octets, first, last)
        for bad in np.flatnonzero(~is_plain[found]).tolist():
            if find(merges[bad].split(" ")[half]) is None:
                raise wrong_merges(f"joins {merges[bad][:80]!r}, of which one half is no token")


def wrong_merges(what: str) -> TokenizerError:
    """The error for merges that don't fit the tokens."""
    return TokenizerError(
        f"tokenizer.ggml.merges {what} of plain text",
        hint="The file is damaged or was made by a faulty converter: get it again.",
    )
