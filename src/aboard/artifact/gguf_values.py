"""Metadata as GGUF v3 stores it: Python and NumPy values to bytes.

| value | type in the file |
|---|---|
| bool, str | BOOL, STRING |
| int | UINT32 where it fits, INT32 for negative ones, else UINT64 or INT64 |
| float | FLOAT32 |
| a NumPy scalar or array | its own type |
| a sequence of str, StringArray included | an array of STRING |
| a sequence of bool, int or float | an array of BOOL, INT32 or FLOAT32 |
| a list of arrays or lists | an array of arrays |
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from aboard.errors import ArtifactError

MAX_NAME_BYTES = 65535  # of the specification; for keys

_BOOL, _TEXT, _ARRAY = 7, 8, 9
_NUMBERS = {
    "uint8": 0,
    "int8": 1,
    "uint16": 2,
    "int16": 3,
    "uint32": 4,
    "int32": 5,
    "float32": 6,
    "bool": _BOOL,
    "uint64": 10,
    "int64": 11,
    "float64": 12,
}
_LENGTH, _KIND = struct.Struct("<Q"), struct.Struct("<I")


def text_bytes(text: str, what: str) -> bytes:
    """`text` with its length before it; `what` names it in messages."""
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        raise ArtifactError(f"{what} holds half a surrogate pair, which is no text") from None
    return _LENGTH.pack(len(octets)) + octets


def entry_bytes(key: str, value: object) -> bytes:
    """The metadata entry `key` with its value.

    Raises
    ------
    ArtifactError
        GGUF has no type for the value.
    """
    what = f"metadata {key!r}"
    kind, octets = _typed(value, what)
    return text_bytes(key, what) + _KIND.pack(kind) + octets


def _typed(value: object, what: str) -> tuple[int, bytes]:
    """The number of a value's type, and its bytes."""
    if isinstance(value, str):
        return _TEXT, text_bytes(value, what)
    if isinstance(value, bool | int | float | np.generic):
        return _scalar(value, what)
    if isinstance(value, np.ndarray):
        if value.ndim != 1:
            raise ArtifactError(f"{what} is an array of {value.ndim} dimensions, expected one")
        return _ARRAY, _array_head(_number(value.dtype, what), value.size) + _octets(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return _ARRAY, _sequence(value, what)
    raise ArtifactError(f"{what} is {type(value).__name__}, which GGUF can't hold")


def _scalar(value: bool | int | float | np.generic, what: str) -> tuple[int, bytes]:
    if isinstance(value, np.generic):
        number = np.asarray(value)
    elif isinstance(value, bool):
        number = np.asarray(value, np.bool_)
    elif isinstance(value, int):
        number = np.asarray(value, _integer_type(value, what))
    else:
        with np.errstate(over="ignore", under="ignore"):
            number = np.asarray(value, np.float32)
        if bool(number) != bool(value) or np.isfinite(number) != math.isfinite(value):
            raise ArtifactError(f"{what} is {value}, which is beyond the range of FLOAT32")
    return _number(number.dtype, what), _octets(number)


def _integer_type(value: int, what: str) -> type[np.integer[Any]]:
    for dtype in (np.uint32, np.int32, np.uint64, np.int64):
        if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            return dtype
    raise ArtifactError(f"{what} is {value}, which is beyond 64 bits")


def _sequence(values: Sequence[Any], what: str) -> bytes:
    kinds = {type(value) for value in values}
    if kinds <= {str}:  # an empty one as well
        texts = b"".join(text_bytes(value, what) for value in values)
        return _array_head(_TEXT, len(values)) + texts
    for kind, dtype in ((bool, np.bool_), (int, np.int32), (float, np.float32)):
        if kinds <= {kind} or (kind is float and kinds <= {int, float}):
            try:
                array = np.array(values, dtype)
            except OverflowError:
                raise ArtifactError(f"{what} holds a number beyond INT32") from None
            return _array_head(_number(array.dtype, what), array.size) + _octets(array)
    typed = [_typed(value, what) for value in values]
    if {kind for kind, _ in typed} != {_ARRAY}:
        raise ArtifactError(f"{what} mixes values of several types in one array")
    return _array_head(_ARRAY, len(typed)) + b"".join(octets for _, octets in typed)


def _array_head(kind: int, count: int) -> bytes:
    return _KIND.pack(kind) + _LENGTH.pack(count)


def _number(dtype: np.dtype[Any], what: str) -> int:
    kind = _NUMBERS.get(dtype.name)
    if kind is None:
        raise ArtifactError(f"{what} holds {dtype.name}, which GGUF can't hold")
    return kind


def _octets(values: np.ndarray[Any, Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
