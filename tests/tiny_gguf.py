"""A small writer of GGUF v3, for tests only: independent of the package and of its reader.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ALIGNMENT = 32
TYPE_NUMBERS = {
    **{"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8},
    **{"Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14},
    **{"IQ4_NL": 20, "IQ4_XS": 23, "BF16": 30, "MXFP4": 39},
}
# How each Python type is stored: the type's number and how it is packed.
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_ELEMENT_TYPES = {
    "int32": _INT32,
    "uint32": _UINT32,
    "uint64": 10,
    "float32": _FLOAT32,
    "bool": _BOOL,
}


@dataclass(frozen=True)
class Tensor:
    """The bytes of a tensor. `shape` counts as NumPy does: rows first, row length last."""

    fmt: str
    shape: tuple[int, ...]
    data: bytes


def float32_tensor(values: np.ndarray) -> Tensor:
    """`values` as an F32 tensor of the same shape."""
    return Tensor("F32", values.shape, values.astype("<f4").tobytes())


def write_gguf(path: Path, metadata: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Path:
    """A GGUF v3 file at `path`; the tensors follow each other at multiples of 32 bytes."""
    header = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        header += [_string(key), _value(value)]
    offset = 0
    for name, tensor in tensors.items():
        header += [_string(name), struct.pack("<I", len(tensor.shape))]
        header += [struct.pack("<Q", n) for n in reversed(tensor.shape)]
        header += [struct.pack("<IQ", TYPE_NUMBERS[tensor.fmt], offset)]
        offset += _padded(len(tensor.data))
    start = b"".join(header)
    with path.open("wb") as file:
        file.write(start.ljust(_padded(len(start)), b"\0"))
        for tensor in tensors.values():
            file.write(tensor.data.ljust(_padded(len(tensor.data)), b"\0"))
    return path


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: object) -> bytes:
    """Integers are stored as UINT32, floats as FLOAT32, lists of texts and arrays as arrays."""
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _string(value)
        case list():
            return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_string, value))
        case np.ndarray():
            number = _ELEMENT_TYPES[value.dtype.name]
            return struct.pack("<IIQ", _ARRAY, number, value.size) + value.tobytes()
    raise TypeError(f"no way to store {type(value).__name__} in GGUF metadata")
