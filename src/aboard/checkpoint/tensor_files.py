"""Tensors in files: where each lies, and its bytes, read when asked for and never mapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.file_bytes import FileBytes, shown
from aboard.closing import Closing
from aboard.errors import MalformedFile, UsageError


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies and what it is.

    Attributes
    ----------
    name : str
        As the file has it: "blk.0.attn_q.weight".
    format : str
        Such as "Q4_K", as its kind of file names it; of a GGUF file, `aboard.formats.by_name` knows
        those that can be decoded.
    shape : tuple of int
        Outermost first, (rows, columns) for a matrix.
    path : Path
        The file that holds the tensor.
    offset : int
        Its first byte in that file.
    size_bytes : int
        Its length.
    """

    name: str
    format: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    size_bytes: int


class TensorFiles(Closing):
    """The files of one checkpoint, open for reading; also a context manager.

    Reads may come from several threads at once.

    Attributes
    ----------
    path : Path
        What was opened: a file, or a folder of files.
    size_bytes : int
        The length of all files together.
    tensors : Mapping of str to TensorInfo
        By name, in the order of the files.
    """

    def __init__(
        self, path: Path, files: Iterable[FileBytes], tensors: Iterable[TensorInfo]
    ) -> None:
        self.path = path
        self._files = {file.path: file for file in files}
        self.size_bytes = sum(file.size for file in self._files.values())
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {tensor.name: tensor for tensor in tensors}
        )

    def read(self, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of the tensor `name`, (size_bytes,) uint8.

        Raises
        ------
        CheckpointError
            There is no such tensor, or the file was cut short since it was opened.
        """
        buffer = np.empty(self._tensor(name).size_bytes, np.uint8)
        self.read_into(name, buffer)
        return buffer

    def read_into(
        self, name: str, buffer: bytearray | memoryview | npt.NDArray[Any], start_byte: int = 0
    ) -> None:
        """Fill `buffer` with the bytes of the tensor `name` from its byte `start_byte` on.

        Parameters
        ----------
        name : str
            The tensor.
        buffer : writable buffer, contiguous
            Its length says how much to read.
        start_byte : int
            Counted from the tensor's first byte.

        Raises
        ------
        CheckpointError
            There is no such tensor, or the file was cut short since it was opened.
        UsageError
            The range reaches beyond the tensor, or `buffer` can't be written to.
        """
        tensor = self._tensor(name)
        view = _writable(buffer)
        if not 0 <= start_byte <= tensor.size_bytes - len(view):
            raise UsageError(
                f"bytes {start_byte} to {start_byte + len(view)} of tensor {shown(name)}, "
                f"which has {tensor.size_bytes}"
            )
        self._files[tensor.path].read_into(view, tensor.offset + start_byte)

    def close(self) -> None:
        """Let go of the files; reads afterwards are refused. It also happens by itself."""
        for file in self._files.values():
            file.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self.path)!r}: {len(self.tensors)} tensors>"

    def _tensor(self, name: str) -> TensorInfo:
        found = self.tensors.get(name)
        if found is None:
            raise MalformedFile(f"{self.path}: has no tensor {shown(name)}")
        return found


def _writable(buffer: bytearray | memoryview | npt.NDArray[Any]) -> memoryview:
    """`buffer` as flat bytes."""
    view = buffer.data if isinstance(buffer, np.ndarray) else memoryview(buffer)
    if view.readonly or not view.c_contiguous:
        raise UsageError("the buffer to read into is read-only or not contiguous")
    return view.cast("B") if view.nbytes else memoryview(bytearray())
