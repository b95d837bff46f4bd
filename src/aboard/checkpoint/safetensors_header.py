"""The header of one .safetensors file: what tensors it holds, and where each lies.

    length of the header u64, little-endian
    the header, a JSON object: name -> {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    and "__metadata__" -> texts by text; spaces may follow
    the data, from where the offsets count

Source: the format's own description and limits (safetensors, README.md): at most 100 MB of header,
which begins with "{"; the data is covered by tensors, with no byte between or after them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aboard.checkpoint.file_bytes import CUT_SHORT, FileBytes, shown
from aboard.checkpoint.foreign import looks_like
from aboard.checkpoint.json_text import Pairs, parse_json, repeated_key
from aboard.checkpoint.safetensors_types import BITS
from aboard.checkpoint.tensor_files import TensorInfo
from aboard.errors import MalformedFile, UnsupportedFile

MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 1 << 16
MAX_DIMENSIONS = 8
MAX_NAME_BYTES = 1024

_UINT64 = struct.Struct("<Q")
_LARGEST = 2**64 - 1
_KEYS = {"dtype", "shape", "data_offsets"}
_FAULTY = "The file is damaged or was made by a faulty tool: get it again."


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of one file says."""

    metadata: Mapping[str, str]
    tensors: Sequence[TensorInfo]


class _Repeated(dict[str, object]):
    """An object in which a key stands twice: refused where its tensor's name is known."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.key = repeated_key(pairs)


def read_header(file: FileBytes) -> Header:
    """The header of `file`, checked against the file's length.

    Raises
    ------
    MalformedFile
        The bytes break the rules of the format.
    UnsupportedFile
        They keep the rules, in a type or a size that Aboard doesn't read.
    """
    text, data_start = _text(file)
    n_objects = text.count(b"{")  # told before any of them takes memory
    if n_objects > MAX_TENSORS + 2:
        raise UnsupportedFile(
            f"{file.path}: the header has {n_objects} entries, Aboard reads at most {MAX_TENSORS}"
        )
    parsed = parse_json(text, f"{file.path}: the header", mapping=_mapping)
    if not isinstance(parsed, dict):
        raise _malformed(file, "the header", "is no JSON object")
    if isinstance(parsed, _Repeated):
        raise _malformed(file, f"tensor {shown(parsed.key)}", "stands there twice")
    metadata = _metadata(file, parsed.pop("__metadata__", {}))
    tensors = [_tensor(file, name, entry, data_start) for name, entry in parsed.items()]
    return Header(metadata, _placed(file, tensors, data_start))


def _text(file: FileBytes) -> tuple[bytes, int]:
    """The bytes of the header, and where the data begins."""
    start = bytearray(min(file.size, _UINT64.size))
    file.read_into(memoryview(start), 0)
    if len(start) < _UINT64.size:
        raise MalformedFile(
            f"{file.path}: has {file.size} bytes, too few for a safetensors file", hint=CUT_SHORT
        )
    length = _UINT64.unpack(start)[0]
    if length > min(file.size - _UINT64.size, MAX_HEADER_BYTES):
        found, hint = looks_like(bytes(start)) or (
            f"claims a header of {length} bytes in a file of {file.size}; expected at most "
            f"{MAX_HEADER_BYTES}, all within the file",
            CUT_SHORT,
        )
        raise MalformedFile(f"{file.path}: is not a safetensors file: {found}", hint=hint)
    header = bytearray(length)
    file.read_into(memoryview(header), _UINT64.size)
    if not header.startswith(b"{"):
        begin = bytes(header[:8])
        raise _malformed(file, "the header", f"begins with {begin!r}, expected {b'{'!r}")
    return bytes(header), _UINT64.size + length


def _mapping(pairs: Pairs) -> dict[str, object]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeated(pairs)


def _metadata(file: FileBytes, found: object) -> dict[str, str]:
    where = "__metadata__"
    if not isinstance(found, dict):
        raise _malformed(file, where, f"is {type(found).__name__}, expected texts by text")
    if isinstance(found, _Repeated):
        raise _malformed(file, where, f"has the key {shown(found.key)} twice")
    for key, value in found.items():
        if not isinstance(value, str):
            raise _malformed(file, where, f"has no text for {shown(key)}")
    return found


def _tensor(file: FileBytes, name: str, entry: object, data_start: int) -> TensorInfo:
    """What the header says of one tensor, its size agreeing with its type and shape."""
    where = f"tensor {shown(name)}"
    _check_name(file, name)
    if isinstance(entry, _Repeated):
        raise _malformed(file, where, f"has the key {shown(entry.key)} twice")
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        keys = ", ".join(sorted(_KEYS))
        raise _malformed(file, where, f"expected an object with just {keys}")
    form = entry["dtype"]
    if not isinstance(form, str) or form not in BITS:
        raise _malformed(file, where, f"has the dtype {str(form)[:40]!r}, which is unknown")
    shape = _shape(file, where, entry["shape"])
    begin, end = _offsets(file, where, entry["data_offsets"])
    n_bits = math.prod(shape) * BITS[form]
    if n_bits != 8 * (end - begin):
        raise _malformed(
            file, where, f"has {end - begin} bytes, but {form} {shape} takes {n_bits / 8:g}"
        )
    if data_start + end > file.size:
        raise _malformed(
            file, where, f"ends at byte {data_start + end}, but the file at byte {file.size}"
        )
    return TensorInfo(name, form, shape, file.path, data_start + begin, end - begin)


def _check_name(file: FileBytes, name: str) -> None:
    where = f"tensor {shown(name)}"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise _malformed(file, where, "has a name that is no Unicode text") from None
    if not 1 <= size <= MAX_NAME_BYTES:
        raise _malformed(file, where, f"has a name of {size} bytes, expected 1 to {MAX_NAME_BYTES}")


def _shape(file: FileBytes, where: str, found: object) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(n) is int and n >= 0 for n in found):
        raise _malformed(file, where, f"has the shape {str(found)[:60]}, expected whole numbers")
    if len(found) > MAX_DIMENSIONS:
        raise _malformed(
            file, where, f"has {len(found)} dimensions, Aboard reads at most {MAX_DIMENSIONS}"
        )
    product = 1
    for n in found:
        product *= n
        if max(product, n) > _LARGEST:
            raise _malformed(file, where, f"has the shape {str(found)[:60]}, which overflows")
    return tuple(found)


def _offsets(file: FileBytes, where: str, found: object) -> tuple[int, int]:
    if isinstance(found, list) and len(found) == 2 and all(type(n) is int for n in found):
        begin, end = found
        if 0 <= begin <= end <= _LARGEST:
            return begin, end
    raise _malformed(
        file, where, f"has the data_offsets {str(found)[:60]}, expected a begin and an end"
    )


def _placed(file: FileBytes, tensors: list[TensorInfo], data_start: int) -> list[TensorInfo]:
    """`tensors` in the order of their bytes, which they cover without gap or overlap."""
    at, before = data_start, None
    # A tensor without values takes no bytes: it stands before the one that begins where it does.
    in_file = sorted(tensors, key=lambda tensor: (tensor.offset, tensor.size_bytes))
    for tensor in in_file:
        where = f"tensor {shown(tensor.name)}"
        if tensor.offset < at:
            raise _malformed(file, where, f"overlaps tensor {shown(before or '')}")
        if tensor.offset > at:
            raise _malformed(
                file, where, f"begins at byte {tensor.offset}, {tensor.offset - at} bytes too late"
            )
        at, before = at + tensor.size_bytes, tensor.name
    if at != file.size:
        last = f"tensor {shown(before)}" if before is not None else "the header"
        raise _malformed(
            file, last, f"is the last and ends at byte {at}, but the file at byte {file.size}"
        )
    return in_file


def _malformed(file: FileBytes, where: str, what: str) -> MalformedFile:
    return MalformedFile(f"{file.path}: {where} {what}", hint=_FAULTY)
