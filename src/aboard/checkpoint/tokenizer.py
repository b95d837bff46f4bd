"""Text to token ids and back, as a GGUF file's `tokenizer.ggml.*` metadata says.

Four models of tokens are known: byte-level BPE ('gpt2', words cut by the `tokenizers` library),
SentencePiece's BPE ('llama') and Unigram ('t5'), and WordPiece ('bert'). A file that holds a whole
tokenizer.json is encoded as that says. What the metadata says and Aboard doesn't know is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from aboard.checkpoint.tokenizer_metadata import (
    ARCHITECTURE,
    read_tokenizer_metadata,
    tokenizer_sha256,
)
from aboard.checkpoint.tokenizer_special import SegmentEncoder
from aboard.errors import TokenizerError, UsageError

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer_library import LibraryEncoder
    from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata


class Tokenizer:
    """Turns text into token ids and ids into text.

    Made by `Tokenizer.from_gguf`. Safe to share between threads: nothing that decides a result
    changes after it is made.

    Attributes
    ----------
    n_vocabulary : int
        Number of tokens; ids are 0 to `n_vocabulary` - 1.
    bos_id, eos_id : int or None
        The tokens that begin and end a sequence.
    stop_ids : frozenset of int
        The tokens that end an answer: end of sequence, of turn, of message.
    adds_bos, adds_eos : bool
        What `encode` puts around a text.
    """

    n_vocabulary: int
    bos_id: int | None
    eos_id: int | None
    stop_ids: frozenset[int]
    adds_bos: bool
    adds_eos: bool

    def __init__(self, metadata: Mapping[str, object]) -> None:
        known = read_tokenizer_metadata(metadata)
        self._metadata = metadata
        self._encoder = _encoder(known, metadata)
        self._tokens = known.tokens
        self._control = known.control
        self.n_vocabulary = len(known.tokens)
        self.bos_id = known.bos_id
        self.eos_id = known.eos_id
        self.stop_ids = known.stop_ids
        self.adds_bos = self._encoder.adds_bos if known.add_bos is None else known.add_bos
        self.adds_eos = bool(known.add_eos)
        self._adds_again = known.model == "bert"  # where a text itself begins with the token
        for adds, role in ((self.adds_bos, "bos"), (self.adds_eos, "eos")):
            if adds and getattr(self, f"{role}_id") is None:
                raise TokenizerError(
                    f"{role.upper()} belongs around every text, but tokenizer.ggml.{role}_token_id "
                    "is missing",
                    hint="The file is damaged or was made by a faulty converter: get it again.",
                )

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object]) -> Tokenizer:
        """The tokenizer that GGUF `metadata` describes.

        Parameters
        ----------
        metadata : mapping
            The metadata of a GGUF file; only `tokenizer.ggml.*` and, for Phi-3,
            `general.architecture` are read.

        Raises
        ------
        TokenizerError
            Something is missing, unknown or contradictory.
        """
        return cls(metadata)

    @cached_property
    def sha256(self) -> str:
        """The hash of everything that decides the ids, as 64 hexadecimal digits.

        `aboard.checkpoint.tokenizer_metadata.tokenizer_sha256` says how it is made.
        """
        return tokenizer_sha256(self._metadata)

    def encode(
        self, text: str, *, add_special: bool = True, parse_special: bool = True
    ) -> list[int]:
        """The token ids of `text`.

        Parameters
        ----------
        text : str
            Any text that UTF-8 can hold.
        add_special : bool
            Put BOS before and EOS after, as the file asks; never one that is there already, but for
            WordPiece, which always has both.
        parse_special : bool
            Read the text of a control token, such as `<|im_end|>`, as that token. Pass False for
            text that isn't trusted. User-defined tokens are found either way.

        Raises
        ------
        UsageError
            The text holds half a surrogate pair, or a character the model can't spell.
        """
        if not isinstance(text, str):
            raise UsageError(f"text is {type(text).__name__}, expected str")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"character {error.start} of the text is half a surrogate pair, expected "
                "text that UTF-8 can hold",
                hint="Decode the bytes the text came from again, with the right encoding.",
            ) from None
        ids = self._encoder.encode(text, parse_special=parse_special)
        if not add_special:
            return ids
        before = [self.bos_id] if self.adds_bos and self.bos_id is not None else []
        behind = [self.eos_id] if self.adds_eos and self.eos_id is not None else []
        if not self._adds_again:
            before = [] if ids[:1] == before else before
            behind = [] if ids[-1:] == behind else behind
        return before + ids + behind

    def decode(
        self, ids: Iterable[int], *, skip_special: bool = True, continues: bool = False
    ) -> str:
        """The text of `ids`. Bytes that are no UTF-8 become U+FFFD.

        Parameters
        ----------
        ids : iterable of int
            Token ids.
        skip_special : bool
            Leave control tokens out.
        continues : bool
            The ids follow on other text: keep the space that SentencePiece puts before a text.

        Raises
        ------
        UsageError
            An id is outside the vocabulary.
        """
        stream = self.stream(skip_special=skip_special, continues=continues)
        return "".join([*map(stream.push, ids), stream.finish()])

    def stream(self, *, skip_special: bool = True, continues: bool = False) -> StreamDecoder:
        """A decoder that is fed one id at a time; options as for `decode`."""
        return StreamDecoder(self, skip_special=skip_special, continues=continues)

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; they may be part of a character.

        Raises
        ------
        UsageError
            The id is outside the vocabulary.
        """
        # bool and numpy integers are ints too; a float would be a silent index error later.
        if not 0 <= token_id < self.n_vocabulary:
            raise UsageError(
                f"token id {token_id} is outside the vocabulary of {self.n_vocabulary} tokens"
            )
        return self._encoder.piece(token_id)

    def control_in(self, text: str) -> str | None:
        """The first control token that `text` spells out, such as "<|im_end|>"; None without one.

        Text of users should have none: within a conversation it would pass for the template's.
        """
        found = (i for i in self._encoder.special_in(text) if i in self._control)
        return next((self._tokens[token_id] for token_id in found), None)

    @cached_property
    def control_texts(self) -> dict[str, int]:
        """The texts of all control tokens, and their ids."""
        return {self._tokens[token_id]: token_id for token_id in sorted(self._control)}

    def is_control(self, token_id: int) -> bool:
        """Whether `decode` leaves this token out."""
        return token_id in self._control

    def starts_text(self, token_id: int) -> bool:
        """Whether a text that follows this token begins with SentencePiece's extra space."""
        return self._encoder.starts_text(token_id)

    def first_piece(self, token_id: int) -> bytes:
        """The bytes of a token that begins a text: without the space that `encode` put there."""
        return self._encoder.first_piece(token_id)

    @property
    def adds_space(self) -> bool:
        """Whether `encode` puts a space before a text, which `decode` takes away."""
        return self._encoder.adds_space


class StreamDecoder:
    """Decodes an answer while it is made; made by `Tokenizer.stream`.

    What `push` and `finish` return, joined, is what `Tokenizer.decode` gives for all ids. A
    character whose bytes are spread over tokens comes whole, with the last of them.
    """

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool, continues: bool) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._drop_space = tokenizer.adds_space and not continues
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that is complete once `token_id` is there; often all of it, sometimes none."""
        data = self._tokenizer.piece(token_id)
        skipped = self._skip_special and self._tokenizer.is_control(token_id)
        if self._tokenizer.starts_text(token_id):
            self._drop_space = True
        elif self._drop_space and data and not skipped:
            data = self._tokenizer.first_piece(token_id)
            self._drop_space = False
        return "" if skipped else self._utf8.decode(data)

    def finish(self) -> str:
        """What is left: U+FFFD where the last character is incomplete, else nothing."""
        return self._utf8.decode(b"", final=True)


def _encoder(
    known: TokenizerMetadata, metadata: Mapping[str, object]
) -> SegmentEncoder | LibraryEncoder:
    # Imported late: `import aboard` must not pay for the tokenizers library.
    if known.embedded is not None:
        from aboard.checkpoint.tokenizer_library import LibraryEncoder

        return LibraryEncoder(known, known.embedded)
    if known.model == "bert":
        from aboard.checkpoint.tokenizer_wordpiece import WordPieceEncoder

        return SegmentEncoder(known, WordPieceEncoder(known, metadata), frozenset())
    if known.model == "gpt2":
        from aboard.checkpoint.tokenizer_bpe import ByteLevelEncoder

        return SegmentEncoder(known, ByteLevelEncoder(known), known.strips_right or frozenset())
    if known.spaces is not None:
        from aboard.checkpoint.tokenizer_characters import CharacterEncoder

        return SegmentEncoder(known, CharacterEncoder(known), known.strips_right or frozenset())
    if known.model == "t5":
        from aboard.checkpoint.tokenizer_unigram import UnigramEncoder

        return SegmentEncoder(known, UnigramEncoder(known), frozenset())
    from aboard.checkpoint.tokenizer_spm import SentencePieceEncoder

    return SegmentEncoder(known, SentencePieceEncoder(known), _strip_after(known, metadata))


def _strip_after(known: TokenizerMetadata, metadata: Mapping[str, object]) -> frozenset[int]:
    """The special tokens that swallow the white space after them.

    GGUF doesn't record this property. Of the families read here only Phi-3 has it: all its
    special tokens but three.
    """
    if known.strips_right is not None:
        return known.strips_right
    if known.model != "llama" or metadata.get(ARCHITECTURE) != "phi3":
        return frozenset()
    keeping = ("<unk>", "<s>", "<|endoftext|>")
    return frozenset(i for i in known.control if known.tokens[i] not in keeping)
