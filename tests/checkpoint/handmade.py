"""GGUF files put together byte by byte, so that each rule can be broken by itself.

Independent of the reader: written from the format's text alone.
"""

import struct
from collections.abc import Iterable

U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
LAYOUTS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B"}
LAYOUTS |= {U64: "Q", I64: "q", F64: "d"}


def text(value: str | bytes) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(octets)) + octets


def scalar(kind: int, value: object) -> bytes:
    return text(value) if kind == TEXT else struct.pack("<" + LAYOUTS[kind], value)


def key(name: str | bytes, kind: int, value: object) -> bytes:
    """A metadata key; `value` of an array comes from `array`."""
    body = value if kind == ARRAY else scalar(kind, value)
    return text(name) + struct.pack("<I", kind) + body


def array(kind: int, values: Iterable[object], count: int | None = None) -> bytes:
    """An array's type, length (`count`, where it is to lie) and values."""
    values = list(values)
    n = len(values) if count is None else count
    encoded = values if kind == ARRAY else [scalar(kind, value) for value in values]
    return struct.pack("<IQ", kind, n) + b"".join(encoded)


def tensor(
    name: str | bytes,
    innermost_first: Iterable[int],
    kind: int = 0,
    offset: int = 0,
    n_dimensions: int | None = None,
) -> bytes:
    """An entry of the list of tensors; type 0 is F32."""
    dims = list(innermost_first)
    n = len(dims) if n_dimensions is None else n_dimensions
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", n, *dims, kind, offset)


def gguf(
    keys: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """A whole file; the counts are right unless given."""
    keys, tensors = list(keys), list(tensors)
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys + tensors)
    return header + bytes(-len(header) % alignment) + data
