"""BPE over characters with ranked merges, as tokenizer.json has it for Llama 2, Mistral and Gemma.

Spaces are marks, and a character without a token is spelled in byte tokens. SentencePiece merges by
score where these files merge by rank, and finds special tokens after spaces became marks, where
these look for them before. GGUF can't say which it is; the key `aboard.tokenizer.spaces` does.
"""

from __future__ import annotations

from aboard.checkpoint.tokenizer_bpe import check_merges, wrong_merges
from aboard.checkpoint.tokenizer_merging import WordCache, merge
from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata
from aboard.checkpoint.tokenizer_spm import SPACE, word_boundary
from aboard.errors import TokenizerError


class CharacterEncoder:
    """Encodes and spells plain text: no special token is known here."""

    adds_bos = False
    spaces_after_special = False

    def __init__(self, meta: TokenizerMetadata) -> None:
        assert meta.merges is not None  # read_tokenizer_metadata saw to it
        if len(meta.byte_ids) < 256:
            raise TokenizerError(
                f"the vocabulary has {len(meta.byte_ids)} of the byte tokens <0x00> to <0xFF>",
                hint="The file is damaged or was made by a faulty converter: get it again.",
            )
        self._tokens = meta.tokens
        self._all_ids = meta.ids
        # Converters write the marks of user-defined tokens as spaces.
        spaced = {self.looked_for(meta.tokens[i]): i for i in meta.user_defined}
        self._spaced = {text: i for text, i in spaced.items() if SPACE in text}
        self._hidden = meta.control | frozenset(meta.byte_ids.values())
        self._byte_ids = [meta.byte_ids[byte] for byte in range(256)]
        self._byte_of = {token_id: byte for byte, token_id in meta.byte_ids.items()}
        self._ranks = meta.merges
        self._spaces = meta.spaces
        self.adds_space = meta.spaces != "never"
        self._cut = word_boundary(meta.tokens)
        self._words = WordCache(self._merge)
        check_merges(meta, self._find)

    def prepare(self, text: str) -> str:
        """`text` as special tokens are looked for in it: as it is."""
        return text

    def looked_for(self, token: str) -> str:
        """What a user-defined token's text is in a text."""
        return token.replace(" ", SPACE)

    def restore(self, token: str) -> bytes:
        """The bytes of a token's text, spaces restored."""
        return token.replace(SPACE, " ").encode()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of `text`; `at_start`: the input begins with it."""
        text = text.replace(" ", SPACE)
        if self._spaces == "prepend" or (
            (self._spaces == "always" or (self._spaces == "first" and at_start))
            and not text.startswith(SPACE)
        ):
            text = SPACE + text
        ids: list[int] = []
        for word in self._cut.split(text):
            ids += self._words.found(word)
        return ids

    def _find(self, text: str) -> int | None:
        """The id of a token that text may become."""
        found = self._spaced.get(text)
        token_id = self._all_ids.find(text) if found is None else found
        return None if token_id in self._hidden else token_id

    def _rank(self, left: str, right: str) -> int | None:
        return self._ranks.find(f"{left} {right}")

    def _merge(self, word: str) -> list[int]:
        ids = []
        for symbol in merge(word, self._rank):
            token_id = self._find(symbol)
            if token_id is not None:
                ids.append(token_id)
            elif len(symbol) == 1:
                ids += [self._byte_ids[byte] for byte in symbol.encode()]
            else:  # the check is by hash, and a file can be made to pass it
                raise wrong_merges(f"makes {symbol[:80]!r}, which is no token")
        return ids

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""
        byte = self._byte_of.get(token_id)
        if byte is not None:
            return bytes([byte])
        return self.restore(self._tokens[token_id])
