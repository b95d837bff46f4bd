"""The header of one GGUF file: its metadata, and where each tensor lies.

    magic "GGUF", version u32, number of tensors u64, number of metadata keys u64
    metadata keys
    per tensor: name, number of dimensions u32, dimensions u64 (innermost first), type u32, offset
    padding to `general.alignment` (32), from where the offsets count

Source: the GGUF specification (ggml, docs/gguf.md). Versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from aboard.checkpoint.file_bytes import CUT_SHORT, FileBytes, shown
from aboard.checkpoint.foreign import looks_like
from aboard.checkpoint.gguf_bytes import HeaderStream
from aboard.checkpoint.gguf_metadata import read_metadata
from aboard.checkpoint.gguf_types import REFUSED_TYPES, TENSOR_TYPES
from aboard.checkpoint.tensor_files import TensorInfo
from aboard.errors import MalformedFile, UnsupportedFile

MAX_TENSORS = 1 << 16
MAX_DIMENSIONS = 4

_UINT32, _UINT64 = struct.Struct("<I"), struct.Struct("<Q")
_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8  # length, one letter, n, one dimension, type, offset
_VERSIONS = (2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of one file says.

    `end_byte`: where the file may end at the latest: behind the last tensor and its padding.
    """

    version: int
    metadata: Mapping[str, object]
    number_types: Mapping[str, str]
    tensors: Sequence[TensorInfo]
    end_byte: int


def read_header(file: FileBytes) -> Header:
    """The header of `file`, checked against the file's length.

    Raises
    ------
    MalformedFile
        The bytes break the rules of the format.
    UnsupportedFile
        They keep the rules, in a version, a type or a size that Aboard doesn't read.
    """
    stream = HeaderStream(file)
    version = _read_version(stream)
    stream.reading = "the number of tensors"
    n_tensors = stream.unpack(_UINT64)
    stream.reading = "the number of metadata keys"
    n_keys = stream.unpack(_UINT64)
    metadata, number_types = read_metadata(stream, n_keys)
    stream.reading = "the list of tensors"
    stream.claim(_MIN_TENSOR_BYTES, n_tensors)
    if n_tensors > MAX_TENSORS:
        raise UnsupportedFile(
            f"{file.path}: has {n_tensors} tensors, Aboard reads at most {MAX_TENSORS}"
        )
    relative = [_read_tensor(stream, number) for number in range(n_tensors)]
    alignment = _alignment(file.path, metadata)
    data_start = _padded(stream.position, alignment)
    tensors = _place(file, relative, alignment, data_start)
    ends = (data_start, *(tensor.offset + tensor.size_bytes for tensor in tensors))
    return Header(
        version=version,
        metadata=metadata,
        number_types=number_types,
        tensors=tensors,
        end_byte=_padded(max(ends), alignment),
    )


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _read_version(stream: HeaderStream) -> int:
    path = stream.file.path
    start = stream.take(min(4, stream.file.size))
    if start != b"GGUF":
        found, hint = looks_like(start) or (f"begins with {start!r}", "Check the path.")
        if start == b"":
            found, hint = "empty", CUT_SHORT
        raise MalformedFile(f"{path}: is not a GGUF file: {found}, expected b'GGUF'", hint=hint)
    stream.reading = "the version"
    version = int(stream.unpack(_UINT32))
    if version in _VERSIONS:
        return version
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in _VERSIONS:
        raise UnsupportedFile(
            f"{path}: is a big-endian GGUF file, expected a little-endian one",
            hint="Get the model in its usual, little-endian form.",
        )
    raise UnsupportedFile(
        f"{path}: has GGUF version {version}, expected 2 or 3",
        hint="Convert the model again.",
    )


def _read_tensor(stream: HeaderStream, number: int) -> TensorInfo:
    """The next entry of the list of tensors; its offset still counts from the data's start."""
    stream.reading = f"the name of tensor {number}"
    name = stream.name()
    stream.reading = f"tensor {shown(name)}"
    n_dimensions = stream.unpack(_UINT32)
    if not 1 <= n_dimensions <= MAX_DIMENSIONS:
        raise stream.malformed(f"has {n_dimensions} dimensions, expected 1 to {MAX_DIMENSIONS}")
    innermost_first = tuple(stream.unpack(_UINT64) for _ in range(n_dimensions))
    kind, offset = stream.unpack(_UINT32), stream.unpack(_UINT64)
    found = TENSOR_TYPES.get(kind)
    if found is None:
        known_as = REFUSED_TYPES.get(kind, "which Aboard doesn't know")
        raise UnsupportedFile(
            f"{stream.file.path}: {stream.reading} is of type {kind}, {known_as}",
            hint="Get the model in another format, such as Q4_K or Q8_0.",
        )
    shape = innermost_first[::-1]
    if 0 in shape:
        raise stream.malformed(f"has no weights: its shape is {shape}")
    if innermost_first[0] % found.block:
        raise stream.malformed(
            f"has rows of {innermost_first[0]} weights, expected a multiple of {found.block}, "
            f"the block of {found.name}"
        )
    size_bytes = math.prod(shape) // found.block * found.block_bytes
    return TensorInfo(name, found.name, shape, stream.file.path, offset, size_bytes)


def _alignment(path: Path, metadata: Mapping[str, object]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise MalformedFile(
            f"{path}: general.alignment is {str(alignment)[:40]}, expected a power of two"
        )
    return alignment


def _place(
    file: FileBytes, tensors: Sequence[TensorInfo], alignment: int, data_start: int
) -> list[TensorInfo]:
    """`tensors` with offsets that count from the start of the file; none may overlap or stick out.

    Gaps between them are let pass: the format's text doesn't forbid them, and they harm nothing.
    """
    placed = []
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise _misplaced(tensor, "stands there twice")
        names.add(tensor.name)
        if tensor.offset % alignment:
            raise _misplaced(
                tensor, f"begins at {tensor.offset}, expected a multiple of {alignment}"
            )
        start = data_start + tensor.offset
        if start + tensor.size_bytes > file.size:
            raise _misplaced(
                tensor,
                f"ends at byte {start + tensor.size_bytes}, but the file at byte {file.size}",
            )
        placed.append(
            TensorInfo(
                tensor.name, tensor.format, tensor.shape, tensor.path, start, tensor.size_bytes
            )
        )
    in_file = sorted(placed, key=lambda tensor: tensor.offset)
    for before, after in pairwise(in_file):
        if before.offset + before.size_bytes > after.offset:
            raise _misplaced(after, f"overlaps tensor {shown(before.name)}")
    return placed


def _misplaced(tensor: TensorInfo, what: str) -> MalformedFile:
    return MalformedFile(f"{tensor.path}: tensor {shown(tensor.name)} {what}", hint=CUT_SHORT)
