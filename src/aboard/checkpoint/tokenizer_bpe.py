"""Byte-level BPE (GGUF tokenizer model 'gpt2'), by the `tokenizers` library."""

from __future__ import annotations

from functools import lru_cache

from aboard.checkpoint.pretokenizers import build_pre_tokenizer, find_word_rule
from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata
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

    def __init__(self, meta: TokenizerMetadata) -> None:
        import tokenizers
        from tokenizers.models import BPE
        from tokenizers.normalizers import NFC

        rule = find_word_rule(meta.pre)
        if meta.add_space_prefix:
            raise TokenizerError(
                "tokenizer.ggml.add_space_prefix is set for byte-level BPE",
                hint="No known family does this: convert the model again.",
            )
        vocabulary = meta.ids.copy()
        for token_id in meta.control:
            del vocabulary[meta.tokens[token_id]]
        _check_merges(meta.merges, vocabulary)
        try:
            model = BPE(vocab=vocabulary, merges=meta.merges, ignore_merges=rule.whole_words_first)
        except Exception as error:  # the library raises bare Exception
            raise TokenizerError(
                f"tokenizer.ggml.merges doesn't fit the vocabulary: {str(error)[:200]}",
                hint="The file is damaged or was made by a faulty converter: get it again.",
            ) from None
        self._tokens = meta.tokens
        # The library's, not Python's: one Unicode version for all, whatever Python runs this.
        self._normalizer = NFC() if rule.nfc else None
        self.adds_bos = rule.add_bos
        self._tokenizer = tokenizers.Tokenizer(model)
        self._tokenizer.pre_tokenizer = build_pre_tokenizer(rule)
        self._known_bytes = bytes(
            byte for byte, letter in enumerate(letter_of_byte()) if letter in vocabulary
        )

    def prepare(self, text: str) -> str:
        """`text` as special tokens are looked for in it: as it is."""
        return text

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
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""
        token = self._tokens[token_id]
        byte_of = _byte_of_letter()
        try:
            return bytes([byte_of[letter] for letter in token])
        except KeyError:  # not made of byte letters: added as plain text
            return token.encode()


def _check_merges(merges: list[tuple[str, str]], vocabulary: dict[str, int]) -> None:
    """Refuse a merge whose result is no token: the library panics where it is a long one."""
    results = map("".join, merges)
    if all(map(vocabulary.__contains__, results)):
        return
    first = next(pair for pair in merges if "".join(pair) not in vocabulary)
    raise TokenizerError(
        f"tokenizer.ggml.merges joins {first[0][:40]!r} and {first[1][:40]!r}, "
        "which gives no token of plain text",
        hint="The file is damaged or was made by a faulty converter: get it again.",
    )
