"""SentencePiece's tokenizer.model, read without its library: pieces, scores, and how it normalises.

A protocol buffer of few fields, read here because it is a stranger's: every length is held against
the file before it is believed. The fields are those of `sentencepiece_model.proto`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aboard.errors import TokenizerError

MAX_BYTES, MAX_PIECES, MAX_PIECE_BYTES = 64 << 20, 1 << 21, 4096
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "NORMAL", 2: "UNKNOWN", 3: "CONTROL", 4: "USER_DEFINED", 5: "UNUSED", 6: "BYTE"}
_MODELS = {1: "Unigram", 2: "BPE", 3: "word", 4: "character"}
_DAMAGED = "The file is damaged: get it again."
_SAVE = "Save the tokenizer as tokenizer.json with transformers and import that."


@dataclass(frozen=True, slots=True)
class Piece:
    """A token: its text, its score, and its kind, numbered as GGUF does."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    """What a tokenizer.model says.

    `kind`: 'BPE' or 'Unigram'. `charsmap`: SentencePiece's table of replaced characters, empty
    where it replaces none. `roles`: 'bos', 'eos', 'unk' and 'pad' -> id, of those there are.
    """

    kind: str
    pieces: tuple[Piece, ...]
    adds_space: bool
    removes_extra_spaces: bool
    charsmap: bytes
    roles: dict[str, int]


def read_sentencepiece(content: bytes, where: str) -> SentencePieceModel:
    """The model that `content` holds.

    Raises
    ------
    TokenizerError
        It is damaged, or of a kind that Aboard can't encode by exactly.
    """
    pieces: list[Piece] = []
    trainer: dict[int, Any] | None = None
    normalizer: dict[int, Any] = {}
    for number, value in _fields(content, where):
        if number == 1:
            if len(pieces) == MAX_PIECES:
                raise TokenizerError(f"{where}: has more than {MAX_PIECES} pieces")
            name = f"{where}: piece {len(pieces)}"
            pieces.append(_piece(dict(_fields(_as_bytes(value, name), name)), name))
        elif number == 2:
            trainer = {**(trainer or {}), **dict(_fields(_as_bytes(value, where), where))}
        elif number == 3:
            normalizer.update(_fields(_as_bytes(value, where), where))
    if trainer is None:
        raise TokenizerError(f"{where}: ends behind {len(pieces)} pieces", hint=_DAMAGED)
    model = _number(trainer, 3, 1, where)
    kind = _MODELS.get(model, str(model))
    if kind not in ("BPE", "Unigram"):
        raise TokenizerError(f"{where}: is a {kind} model, expected BPE or Unigram", hint=_SAVE)
    if _number(trainer, 24, 0, where):
        raise _unsupported(where, "treat_whitespace_as_suffix")
    if not _number(normalizer, 5, 1, where):
        raise _unsupported(where, "escape_whitespaces = false")
    adds_space = bool(_number(normalizer, 3, 1, where))
    removes = bool(_number(normalizer, 4, 1, where))
    roles = {"unk": (40, 0), "bos": (41, 1), "eos": (42, 2), "pad": (43, -1)}
    ids = {name: _number(trainer, *place, where) for name, place in roles.items()}
    _check_pieces(pieces, ids["unk"], where)
    _check_kinds(pieces, kind, where, whole_text=adds_space or removes)
    return SentencePieceModel(
        kind=kind,
        pieces=tuple(pieces),
        adds_space=adds_space,
        removes_extra_spaces=removes,
        charsmap=_as_bytes(normalizer.get(2, b""), where),
        roles={name: i for name, i in ids.items() if 0 <= i < len(pieces)},
    )


def _check_pieces(pieces: list[Piece], unknown_id: int, where: str) -> None:
    """Refuse a piece that is there twice, and another unknown one than the one there must be."""
    if not pieces:
        raise TokenizerError(f"{where}: has no pieces", hint=_DAMAGED)
    ids: dict[str, int] = {}
    for i, piece in enumerate(pieces):
        first = ids.setdefault(piece.text, i)
        if first != i:
            raise TokenizerError(
                f"{where}: pieces {first} and {i} are both {piece.text[:40]!r}", hint=_DAMAGED
            )
    unknown = [i for i, piece in enumerate(pieces) if _KINDS[piece.kind] == "UNKNOWN"]
    if unknown != [unknown_id]:
        raise TokenizerError(
            f"{where}: the unknown pieces are {str(unknown[:4])[1:-1] or 'none'}, expected "
            f"{unknown_id} alone, which unk_id names",
            hint=_DAMAGED,
        )


def _check_kinds(pieces: list[Piece], kind: str, where: str, *, whole_text: bool) -> None:
    """`whole_text`: spaces are treated otherwise at the start of a text than within."""
    kinds = {_KINDS[piece.kind] for piece in pieces}
    if kind == "BPE" and "UNUSED" in kinds:  # it merges up to such a piece, then takes it apart
        raise _unsupported(where, "unused pieces")
    if "USER_DEFINED" not in kinds:
        return
    if whole_text:  # to us each stretch between special tokens is a text
        raise _unsupported(where, "user-defined pieces besides add_dummy_prefix or the like")
    if kind == "Unigram":  # to us special tokens come first, to it they are likely pieces
        raise _unsupported(where, "user-defined pieces in a Unigram model")


def _piece(fields: dict[int, Any], where: str) -> Piece:
    octets = _as_bytes(fields.get(1, b""), where)
    if not octets or len(octets) > MAX_PIECE_BYTES:
        raise TokenizerError(
            f"{where} has {len(octets)} bytes, expected 1 to {MAX_PIECE_BYTES}", hint=_DAMAGED
        )
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise TokenizerError(f"{where} is no UTF-8", hint=_DAMAGED) from None
    score = fields.get(2, 0.0)
    if not isinstance(score, float) or not math.isfinite(score):
        raise TokenizerError(f"{where} has a score that is no number", hint=_DAMAGED)
    kind = _number(fields, 3, 1, where)
    if kind not in _KINDS:
        raise TokenizerError(f"{where} is of kind {kind}, expected 1 to 6", hint=_DAMAGED)
    return Piece(text, score, kind)


def _fields(content: bytes, where: str) -> Iterator[tuple[int, int | float | bytes]]:
    """The fields of a message: number and value, by the wire's own types."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at, where)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(content, at, where)
            yield number, value
        elif wire == _BYTES:
            length, at = _varint(content, at, where)
            if length > len(content) - at:
                raise _cut(where, at)
            yield number, content[at : at + length]
            at += length
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
            if length > len(content) - at:
                raise _cut(where, at)
            if wire == _FIXED32:
                yield number, struct.unpack_from("<f", content, at)[0]
            at += length
        else:
            raise TokenizerError(f"{where}: byte {at} begins no field", hint=_DAMAGED)


def _varint(content: bytes, at: int, where: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        octet = content[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & (1 << 64) - 1, at
    raise _cut(where, at)


def _number(fields: dict[int, Any], number: int, default: int, where: str) -> int:
    """An int32, enum or bool; negative ones are written as 64 bits."""
    value = fields.get(number, default)
    if not isinstance(value, int):
        raise TokenizerError(f"{where}: field {number} is no integer", hint=_DAMAGED)
    return value - (1 << 64) if value >= 1 << 63 else value


def _as_bytes(value: object, where: str) -> bytes:
    if not isinstance(value, bytes):
        raise TokenizerError(f"{where}: a number stands where bytes belong", hint=_DAMAGED)
    return value


def _cut(where: str, at: int) -> TokenizerError:
    return TokenizerError(f"{where}: is cut short at byte {at}", hint=_DAMAGED)


def _unsupported(where: str, what: str) -> TokenizerError:
    return TokenizerError(
        f"{where}: has {what}, and a GGUF file can't say that exactly",
        hint=_SAVE,
    )
