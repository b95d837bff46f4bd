"""Encoding by the `tokenizers` library, with the tokenizer.json that a GGUF file holds whole.

For what the entries `tokenizer.ggml.*` can't say. Both must spell the same tokens: a file in which
they differ is refused, as two programs would then read it in two ways.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from aboard.checkpoint.huggingface_files import Fields, parse_object
from aboard.checkpoint.tokenizer_bpe import letter_of_byte
from aboard.checkpoint.tokenizer_json import TokenizerJson, read_tokenizer_json
from aboard.checkpoint.tokenizer_metadata import EMBEDDED as KEY
from aboard.checkpoint.tokenizer_metadata import UNUSED, TokenizerMetadata
from aboard.checkpoint.tokenizer_pipeline import (
    SPACE,
    Decoder,
    normalizer_steps,
    read_decoder,
    read_template,
    word_steps,
)
from aboard.errors import TokenizerError, UsageError

Result = TypeVar("Result")
_DAMAGED = "The file is damaged or was made by a faulty converter: get it again."


class LibraryEncoder:
    """Encodes text and spells tokens as the tokenizer.json says.

    Parameters
    ----------
    meta : TokenizerMetadata
        What the other entries say.
    content : str
        The tokenizer.json.
    """

    adds_bos = False

    def __init__(self, meta: TokenizerMetadata, content: str) -> None:
        found = read_embedded(content)
        self._decoder = read_decoder(found.fields)
        _check_agreement(found, meta)
        self._tokens = meta.tokens
        self._control = meta.control
        self._byte_of = {token_id: byte for byte, token_id in meta.byte_ids.items()}
        self._letters = {letter: byte for byte, letter in enumerate(letter_of_byte())}
        self._library = _build(found, meta.control)
        self._lock = threading.Lock()  # the library keeps what is parsed as a setting
        self.adds_space = self._decoder.strips

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of a whole text.

        Raises
        ------
        UsageError
            The library can't encode the text, or makes a control token of one that isn't trusted.
        """
        with self._lock:
            self._library.encode_special_tokens = not parse_special
            try:
                ids: list[int] = _call(self._library.encode, text, add_special_tokens=False).ids
            except TokenizerError as error:
                raise UsageError(f"the model can't encode the text: {error}") from None
        if not parse_special:
            control = self._control.intersection(ids)
            if control:
                raise UsageError(
                    f"the text spells the control token {self._tokens[min(control)]!r}",
                    hint="Take it out: the model can't tell it from its own.",
                )
        return ids

    def special_in(self, text: str) -> Iterator[int]:
        """The special tokens that `text` spells out."""
        return (i for i in self.encode(text, parse_special=True) if i in self._control)

    def starts_text(self, token_id: int) -> bool:
        """Whether a text that follows this token begins with an extra space: none does."""
        return False

    def piece(self, token_id: int) -> bytes:
        """The bytes of a token."""
        token = self._tokens[token_id]
        if self._decoder.kind == "bytes":
            try:
                return bytes([self._letters[letter] for letter in token])
            except KeyError:
                return token.encode()
        if self._decoder.spells_bytes and token_id in self._byte_of:
            return bytes([self._byte_of[token_id]])
        return token.replace(SPACE, " ").encode()

    def first_piece(self, token_id: int) -> bytes:
        """The bytes of a token that begins a text."""
        if self._decoder.kind == "metaspace":
            return self._tokens[token_id].replace(SPACE, "").encode()
        return self.piece(token_id).removeprefix(b" ")


def read_embedded(content: str) -> TokenizerJson:
    """The tokenizer.json that a GGUF file holds, checked as a file would be.

    Raises
    ------
    TokenizerError
        It is damaged, or of a kind that Aboard doesn't read.
    """
    try:
        octets = content.encode()
    except UnicodeEncodeError:
        raise TokenizerError(f"{KEY} holds half a surrogate pair", hint=_DAMAGED) from None
    found = read_tokenizer_json(Fields(parse_object(octets, KEY), KEY))
    if found.kind == "WordPiece":
        raise TokenizerError(f"{KEY} is of kind WordPiece, which GGUF's own entries say")
    check_pipeline(found)
    return found


def check_pipeline(found: TokenizerJson) -> Decoder:
    """How `found` decodes, once all its steps are known to be safe.

    Raises
    ------
    TokenizerError
        A step is unknown or unsafe, or the library refuses it.
    """
    normalizer_steps(found.fields)
    word_steps(found.fields)
    read_template(found.fields)
    return read_decoder(found.fields)


def _build(found: TokenizerJson, control: frozenset[int]) -> Any:
    """The library's tokenizer; nothing that Aboard does itself or leaves out is left in it."""
    from tokenizers import Tokenizer

    added = [
        token.as_json() | {"special": token.token_id in control}  # so that it can be left unparsed
        for token in found.added
    ]
    members = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": found.fields.members.get("normalizer"),
        "pre_tokenizer": found.fields.members.get("pre_tokenizer"),
        "post_processor": None,
        "decoder": None,
        "model": {**found.model.members, "type": found.kind},
    }
    content = json.dumps(members, ensure_ascii=False)
    try:
        library = _call(Tokenizer.from_str, content)
    except TokenizerError as error:
        raise TokenizerError(f"{found.fields.where}: {error}", hint=error.hint) from None
    if library.get_vocab_size(with_added_tokens=True) != len(found.tokens):
        raise TokenizerError(f"{found.fields.where}: the library reads other tokens", hint=_DAMAGED)
    return library


def _check_agreement(found: TokenizerJson, meta: TokenizerMetadata) -> None:
    """Refuse a file whose `tokenizer.ggml.*` spells other tokens than its tokenizer.json."""
    n_left = len(found.tokens)
    expected = found.tokens
    special = {token.token_id for token in found.added if token.special}
    for token_id, token in enumerate(meta.tokens):
        text = expected.get(token_id)
        if text is None:
            if meta.types[token_id] != UNUSED:
                raise _disagreement(f"has no token {token_id}, tokenizer.ggml has {token[:40]!r}")
            continue
        n_left -= 1
        if token != text and token != text.replace(SPACE, " "):
            raise _disagreement(
                f"has token {token_id} {text[:40]!r}, tokenizer.ggml {token[:40]!r}"
            )
        if token_id in special and token_id not in meta.control:
            raise _disagreement(f"has {text[:40]!r} as a special token, tokenizer.ggml has not")
    if n_left:
        raise _disagreement(f"has {n_left} tokens beyond the {len(meta.tokens)} of tokenizer.ggml")


def _disagreement(what: str) -> TokenizerError:
    return TokenizerError(
        f"{KEY} {what}", hint="The file contradicts itself: convert the model again."
    )


def _call(function: Callable[..., Result], *args: object, **options: object) -> Result:
    """What the library returns; its panics, which are no `Exception`, become a TokenizerError."""
    try:
        return function(*args, **options)
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        raise TokenizerError(
            f"the tokenizers library refuses it: {str(error)[:200]}",
            hint="The tokenizer is damaged, or made for another version of the library.",
        ) from None
