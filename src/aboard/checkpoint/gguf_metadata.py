"""The metadata of a GGUF file: keys and values of every type that the format knows.

Numbers, booleans and texts become Python values, arrays of numbers read-only NumPy arrays, arrays
of texts a `StringArray`, arrays of arrays a list.
"""

from __future__ import annotations

import struct

import numpy as np

from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.gguf_bytes import HeaderStream
from aboard.errors import UnsupportedFile

# Keys and inner arrays become Python objects many times their size in the file: so many at most.
# Files of real models have fewer than a hundred.
MAX_VALUES = 1 << 16
MAX_DEPTH = 4

_UINT32, _UINT64 = struct.Struct("<I"), struct.Struct("<Q")
_NUMBERS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_DTYPES = {number: np.dtype(layout.format) for number, layout in _NUMBERS.items()}
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_MIN_KEY_BYTES = 8 + 1 + 4 + 1  # length, one letter, type, a value of one byte
_MIN_ARRAY_BYTES = 4 + 8  # type, length


def read_metadata(stream: HeaderStream, count: int) -> tuple[dict[str, object], dict[str, str]]:
    """The next `count` keys of `stream` and their values, and the NumPy types of single numbers.

    Raises
    ------
    MalformedFile
        The bytes break the rules of the format.
    UnsupportedFile
        They keep the rules, in numbers that no real model has.
    """
    stream.reading = "the metadata"
    stream.claim(_MIN_KEY_BYTES, count)
    values = _Values(stream)
    return values.keyed(count), values.number_types


class _Values:
    """Reads values, and counts those that become Python objects."""

    def __init__(self, stream: HeaderStream) -> None:
        self._stream = stream
        self._left = MAX_VALUES
        self.number_types: dict[str, str] = {}

    def keyed(self, count: int) -> dict[str, object]:
        stream = self._stream
        self._spend(count)
        metadata: dict[str, object] = {}
        for number in range(count):
            stream.reading = f"the name of metadata key {number}"
            key = stream.name()
            stream.reading = f"metadata key {shown(key)}"
            if key in metadata:
                raise stream.malformed("stands there twice")
            kind = stream.unpack(_UINT32)
            metadata[key] = self._value(kind)
            if kind in _DTYPES:
                self.number_types[key] = _DTYPES[kind].name
        return metadata

    def _value(self, kind: int) -> object:
        stream = self._stream
        if kind in _NUMBERS:
            return stream.unpack(_NUMBERS[kind])
        if kind == _BOOL:
            return bool(self._booleans(1)[0])
        if kind == _TEXT:
            return stream.text()
        if kind == _ARRAY:
            return self._array(depth=1)
        raise stream.malformed(f"has a value of type {kind}, expected 0 to 12")

    def _array(self, depth: int) -> object:
        stream = self._stream
        kind, count = stream.unpack(_UINT32), stream.unpack(_UINT64)
        if kind in _DTYPES:
            return stream.numbers(_DTYPES[kind], count)
        if kind == _BOOL:
            return self._booleans(count)
        if kind == _TEXT:
            return stream.texts(count)
        if kind != _ARRAY:
            raise stream.malformed(f"is an array of type {kind}, expected 0 to 12")
        if depth == MAX_DEPTH:
            raise stream.malformed(f"nests arrays deeper than {MAX_DEPTH}")
        stream.claim(_MIN_ARRAY_BYTES, count)
        self._spend(count)
        return [self._array(depth + 1) for _ in range(count)]

    def _booleans(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        octets = self._stream.numbers(np.dtype(np.uint8), count)
        if np.any(octets > 1):
            raise self._stream.malformed("holds a boolean that is neither 0 nor 1")
        return octets.view(np.bool_)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise UnsupportedFile(
                f"{self._stream.file.path}: {self._stream.reading} has {count} entries, more than "
                f"the {MAX_VALUES} keys and inner arrays that Aboard reads from a file"
            )
