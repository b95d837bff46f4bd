"""The parts of the flat files that native/replay reads: sizes, arrays, texts, matrices.

Numbers are 64-bit little-endian; texts and arrays are preceded by their length.
"""

import struct
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from aboard import formats
from aboard.checkpoint.gguf import GgufFile
from aboard.models.decoder import Weight


def write_matrices(file: BinaryIO, source: GgufFile, matrices: Iterable[Weight]) -> None:
    """How many there are, then each: label, format, shape, raw rows."""
    found = list(matrices)
    write_sizes(file, len(found))
    for weight in found:
        info = source.tensors[weight.name]
        write_text(file, weight.label)
        write_text(file, info.format)
        write_sizes(file, *weight.shape)
        rows = source.read(info.name).reshape(info.shape[0], -1)
        write_array(file, rows[weight.first_row :][: weight.shape[0]].reshape(-1))


def read_values(source: GgufFile, name: str) -> np.ndarray:
    """The decoded values of a tensor, flat float32."""
    form = formats.by_name(source.tensors[name].format)
    return form.decode(source.read(name).reshape(-1, form.BLOCK_BYTES)).reshape(-1).astype("<f4")


def write_sizes(file: BinaryIO, *values: int) -> None:
    """Sizes, as they are."""
    file.write(struct.pack(f"<{len(values)}Q", *values))


def write_array(file: BinaryIO, values: np.ndarray) -> None:
    """An array after the number of its values."""
    write_sizes(file, values.size)
    file.write(values.tobytes())


def write_text(file: BinaryIO, text: str) -> None:
    """A text after the number of its bytes."""
    write_array(file, np.frombuffer(text.encode(), np.uint8))
