"""Formats by name and by ggml type, imported when first asked for."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Protocol, cast

from aboard.errors import UnsupportedFile, UsageError
from aboard.formats._blocks import Blocks, Bytes, Float32


class Format(Protocol):
    """What the module of a format holds.

    Attributes
    ----------
    NAME : str
        As GGUF tools write it: "Q4_K".
    GGML_TYPE : int
        The number of the type in GGUF files.
    BLOCK : int
        Weights per block; a row holds whole blocks.
    BLOCK_BYTES : int
        Bytes per block.
    SUB_BLOCK : int
        Weights that share one scale (and minimum); 1 for floats.
    """

    NAME: str
    GGML_TYPE: int
    BLOCK: int
    BLOCK_BYTES: int
    SUB_BLOCK: int

    def unpack(self, packed: Bytes, /) -> Blocks:
        """Codes and scales of `packed`, (..., n_blocks, BLOCK_BYTES) uint8."""
        ...

    def decode(self, packed: Bytes, /) -> Float32:
        """Weights of `packed`: (..., n_blocks, BLOCK_BYTES) uint8 -> (..., K) float32."""
        ...


class Encoder(Format, Protocol):
    """A format that plain numbers can be rounded to."""

    def encode(self, weights: Float32, /) -> Bytes:
        """Blocks of `weights`: (..., K) float32 -> (..., n_blocks, BLOCK_BYTES) uint8.

        Each block is rounded by itself. The weights are finite; one that the format can't hold
        raises UsageError.
        """
        ...


NAMES: tuple[str, ...] = tuple(
    sorted(file.stem.upper() for file in Path(__file__).parent.glob("[a-z]*.py"))
)


@functools.cache
def by_name(name: str) -> Format:
    """The format called `name`, such as "Q4_K".

    Raises
    ------
    UnsupportedFile
        Aboard has no such format.
    """
    if name not in NAMES:
        raise _refusal(name)
    return cast(Format, importlib.import_module(f"aboard.formats.{name.lower()}"))


def bits_of(name: str) -> float:
    """Bits that the format called `name` takes for a weight, its scales included."""
    form = by_name(name)
    return 8 * form.BLOCK_BYTES / form.BLOCK


@functools.cache
def plainly_encodable() -> tuple[str, ...]:
    """The names of the formats that `encoder` knows, in the order of their bits."""
    found = [name for name in NAMES if hasattr(by_name(name), "encode")]
    return tuple(sorted(found, key=lambda name: (bits_of(name), name)))


def encoder(name: str) -> Encoder:
    """The format called `name`, which plain numbers can be rounded to.

    Raises
    ------
    UsageError
        Aboard has no such format, or can't write it.
    """
    if name not in plainly_encodable():
        raise UsageError(f"the type is {name!r}, expected one of {', '.join(plainly_encodable())}")
    return cast(Encoder, by_name(name))


def by_ggml_type(number: int) -> Format:
    """The format that GGUF files call type `number`.

    Raises
    ------
    UnsupportedFile
        Aboard has no such format.
    """
    found = _numbers().get(number)
    if found is None:
        raise _refusal(f"ggml type {number}")
    return by_name(found)


@functools.cache
def _numbers() -> dict[int, str]:
    return {by_name(name).GGML_TYPE: name for name in NAMES}


def _refusal(name: str) -> UnsupportedFile:
    return UnsupportedFile(
        f"weights in the format {name!r}, expected one of {', '.join(NAMES)}",
        hint="Get the model in one of these formats.",
    )
