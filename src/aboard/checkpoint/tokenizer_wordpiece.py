"""WordPiece (GGUF tokenizer model 'bert', arXiv:1609.08144): the longest piece first, word by word.

GGUF writes pieces by what stands before them: one that begins a word has a mark of a space, one
that goes on has none, where the original vocabulary marks the latter by '##'. The `tokenizers`
library cleans texts, cuts words and finds the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import punctuation
from typing import Any

from aboard.checkpoint.tokenizer_fields import CONVERT_AGAIN, TokenizerFields
from aboard.checkpoint.tokenizer_metadata import USER_DEFINED, TokenizerMetadata
from aboard.errors import TokenizerError

SPACE, GOES_ON = "▁", "##"
MAX_WORD_CHARS = 100  # a longer word is the unknown token
PART_CHARS = 1 << 14
LOWERCASE, STRIP_ACCENTS = "normalizer.lowercase", "normalizer.strip_accents"


def marked(piece: str) -> str:
    """A piece of an original vocabulary as GGUF writes it."""
    return piece.removeprefix(GOES_ON) if piece.startswith(GOES_ON) else SPACE + piece


def original(token: str) -> str:
    """A piece as the original vocabulary has it, from what GGUF writes."""
    return token.removeprefix(SPACE) if token.startswith(SPACE) else GOES_ON + token


class WordPieceEncoder:
    """Encodes and spells plain text: no special token is known here.

    Parameters
    ----------
    meta : TokenizerMetadata
        What the file says.
    metadata : mapping
        Of the file: whether letters become small and lose their accents.
    """

    adds_bos = True
    adds_space = True  # to a text that is spelled, before each word
    spaces_after_special = False

    def __init__(self, meta: TokenizerMetadata, metadata: Mapping[str, object]) -> None:
        _check_special(meta)
        assert meta.unknown_id is not None  # read_tokenizer_metadata saw to it
        self._tokens = meta.tokens
        self._unknown_id = meta.unknown_id
        fields = TokenizerFields(metadata)
        lowercase = fields.flag(LOWERCASE)
        lowercase = lowercase is not False
        strips = fields.flag(STRIP_ACCENTS)
        vocabulary = {
            token if i in meta.control else original(token): i
            for i, token in enumerate(meta.tokens)
        }
        self._library = _build(
            vocabulary,
            unknown=meta.tokens[meta.unknown_id],
            lowercase=lowercase,
            strips_accents=lowercase if strips is None else strips,
        )

    def prepare(self, text: str) -> str:
        """`text` as special tokens are looked for in it: as it is."""
        return text

    def looked_for(self, token: str) -> str:
        """What a user-defined token's text is in a text; there are none."""
        return token

    def restore(self, token: str) -> bytes:
        """The bytes of a special token's text."""
        return token.encode()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of a prepared `text`, the same wherever it stands."""
        ids: list[int] = []
        for part in _parts(text):
            ids += self._library.encode(part, add_special_tokens=False).ids
        return ids

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token, a space before what begins a word."""
        return self._tokens[token_id].replace(SPACE, " ", 1).encode()


def _parts(text: str) -> Iterator[str]:
    """The text, cut at spaces, where words end in any case.

    The library holds all other threads up while it encodes, and takes 700 bytes for each token of
    what it is given at once.
    """
    at = 0
    while len(text) - at > PART_CHARS:
        end = text.rfind(" ", at, at + PART_CHARS) + 1 or text.find(" ", at + PART_CHARS) + 1
        if not end:
            break
        yield text[at:end]
        at = end
    yield text[at:]


def _check_special(meta: TokenizerMetadata) -> None:
    """Refuse special tokens that plain text could spell, or that are found in another way."""
    if (meta.types == USER_DEFINED).any():
        raise TokenizerError(
            "the tokenizer of model 'bert' has user-defined tokens, and Aboard doesn't know how it "
            "finds them",
            hint="Import the model from its Hugging Face folder.",
        )
    for token_id in sorted(meta.control):
        text = meta.tokens[token_id]
        # Words are cut at punctuation, so no word is such a token.
        if len(text) < 2 or not set(text) & set(punctuation):
            raise TokenizerError(
                f"special token {token_id} is {text[:40]!r}, expected one with punctuation in it, "
                "which no word has",
                hint=CONVERT_AGAIN,
            )


def _build(
    vocabulary: Mapping[str, int], *, unknown: str, lowercase: bool, strips_accents: bool
) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    library = Tokenizer(
        models.WordPiece(
            vocab=dict(vocabulary),
            unk_token=unknown,
            max_input_chars_per_word=MAX_WORD_CHARS,
            continuing_subword_prefix=GOES_ON,
        )
    )
    library.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=strips_accents,
        lowercase=lowercase,
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return library
