"""Writes GGUF v3 files: names and shapes first, then the tensors in that order, in pieces.

>>> from aboard.artifact.gguf_writer import GgufWriter, NewTensor
>>> with GgufWriter(path, metadata, [NewTensor("t", "F32", (2, 2))]) as new:   # doctest: +SKIP
...     new.write("t", np.ones((2, 2), np.float32))
...     new.publish()

The file appears whole or not at all: see `aboard.artifact.replacement`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.artifact.gguf_values import entry_bytes, text_bytes
from aboard.artifact.replacement import Replacement
from aboard.closing import Closing
from aboard.errors import ArtifactError

ALIGNMENT = 32
MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 64  # llama.cpp reads no longer names of tensors


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor to be written.

    Attributes
    ----------
    name : str
        Such as "blk.0.attn_q.weight".
    format : str
        The name of one of `aboard.formats`.
    shape : tuple of int
        Outermost first, (rows, columns) for a matrix.
    """

    name: str
    format: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """How many bytes it takes, without what aligns the next one."""
        return formats.file_bytes(self.format, self.shape)

    @property
    def aligned_bytes(self) -> int:
        """How many bytes it takes with what aligns the next one."""
        return _padded(self.size_bytes)


class GgufWriter(Closing):
    """A GGUF file that is being written; leaves nothing behind unless `publish` was called.

    Parameters
    ----------
    path : Path
        Where the file is to be.
    metadata : mapping of str to object
        Its entries, in this order; see `gguf_values` for how each type is stored.
    tensors : sequence of NewTensor
        What it will hold, in this order.

    Raises
    ------
    ArtifactError
        An entry or a tensor can't be stored in a GGUF file, or the place can't be written.
    """

    def __init__(
        self, path: Path, metadata: Mapping[str, object], tensors: Sequence[NewTensor]
    ) -> None:
        self._tensors = list(tensors)
        header = header_bytes(metadata, self._tensors)
        self.size_bytes = len(header) + sum(each.aligned_bytes for each in self._tensors)
        self._at = 0  # the tensor that is being written
        self._written = 0  # bytes of it so far
        self._file = Replacement(path, self.size_bytes)
        try:
            self._file.write(header)
        except BaseException:
            self.close()
            raise

    def write(self, name: str, data: npt.NDArray[Any] | bytes) -> None:
        """Append `data` to the tensor `name`, which is the next one not yet whole.

        Parameters
        ----------
        name : str
            A check: tensors come in the order that was declared.
        data : array or bytes, contiguous
            Bytes of the tensor's format.

        Raises
        ------
        ArtifactError
            It is another tensor's turn, or the tensor has fewer bytes left.
        """
        if isinstance(data, bytes):
            view = memoryview(data)
        else:
            view = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
        if self._at == len(self._tensors) or self._tensors[self._at].name != name:
            raise ArtifactError(f"tensor {name!r} is written out of turn")
        tensor = self._tensors[self._at]
        self._written += len(view)
        if self._written > tensor.size_bytes:
            raise ArtifactError(
                f"tensor {name!r} is given {self._written} bytes, it takes {tensor.size_bytes}"
            )
        self._file.write(view)
        if self._written == tensor.size_bytes:
            self._file.write(bytes(_padded(tensor.size_bytes) - tensor.size_bytes))
            self._at, self._written = self._at + 1, 0

    def publish(self) -> None:
        """Put the file in its place.

        Raises
        ------
        ArtifactError
            A tensor isn't whole, or the disk refuses.
        """
        if self._at < len(self._tensors):
            raise ArtifactError(f"tensor {self._tensors[self._at].name!r} isn't whole yet")
        self._file.publish()

    def close(self) -> None:
        """Remove what was written, unless it was published."""
        self._file.close()


def header_bytes(metadata: Mapping[str, object], tensors: Sequence[NewTensor]) -> bytes:
    """What a file begins with: all that comes before the tensors' own bytes.

    Raises
    ------
    ArtifactError
        An entry or a tensor can't be stored in a GGUF file.
    """
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    parts += [entry_bytes(key, value) for key, value in metadata.items()]
    offset = 0
    names: set[str] = set()
    for tensor in tensors:
        _check(tensor, names)
        name = text_bytes(tensor.name, "a tensor's name")
        innermost_first = tensor.shape[::-1]
        parts.append(
            name + struct.pack(f"<I{len(innermost_first)}Q", len(innermost_first), *innermost_first)
        )
        kind = formats.by_name(tensor.format).GGML_TYPE
        parts.append(struct.pack("<IQ", kind, offset))
        offset += _padded(tensor.size_bytes)
    header = b"".join(parts)
    return header.ljust(_padded(len(header)), b"\0")


def _check(tensor: NewTensor, names: set[str]) -> None:
    form = formats.by_name(tensor.format)
    if tensor.name in names:
        raise ArtifactError(f"tensor {tensor.name!r} is declared twice")
    names.add(tensor.name)
    if not 1 <= len(tensor.name.encode("utf-8", "replace")) < MAX_NAME_BYTES:
        raise ArtifactError(
            f"tensor {tensor.name[:80]!r}: expected a name of 1 to {MAX_NAME_BYTES - 1} bytes"
        )
    if not 1 <= len(tensor.shape) <= MAX_DIMENSIONS or min(tensor.shape) < 1:
        raise ArtifactError(
            f"tensor {tensor.name!r} has the shape {tensor.shape}, expected 1 to "
            f"{MAX_DIMENSIONS} dimensions above 0"
        )
    if tensor.shape[-1] % form.BLOCK:
        raise ArtifactError(
            f"tensor {tensor.name!r} has rows of {tensor.shape[-1]} weights, expected a multiple "
            f"of {form.BLOCK}, the block of {form.NAME}"
        )


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
