"""GGUF files: metadata, tensors and their bytes, read when asked for and never mapped.

>>> from aboard.checkpoint.gguf import open_gguf
>>> with open_gguf("model.gguf") as file:                      # doctest: +SKIP
...     file.tensors["output_norm.weight"].shape
(576,)

A model may be split into parts, `name-00001-of-00003.gguf` and so on: opening the first opens all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.gguf_bytes import FileBytes
from aboard.checkpoint.gguf_header import Header, TensorInfo, read_header
from aboard.checkpoint.gguf_metadata import shown
from aboard.checkpoint.gguf_split import check_split, part_paths
from aboard.closing import Closing
from aboard.errors import MalformedFile, UsageError

__all__ = ["GgufFile", "TensorInfo", "open_gguf"]


def open_gguf(path: str | Path) -> GgufFile:
    """The GGUF file at `path`, with all its parts; only headers are read.

    Raises
    ------
    CheckpointError
        The file or a part can't be read, breaks the rules of the format, or is of a kind that
        Aboard doesn't read.
    """
    with ExitStack() as unless_sound:
        parts = [_open_part(Path(path), unless_sound)]
        for each in part_paths(Path(path), parts[0][1]):
            parts.append(_open_part(each, unless_sound))
        check_split([file.path for file, _ in parts], [header for _, header in parts])
        opened = GgufFile(parts)
        unless_sound.pop_all()
    return opened


def _open_part(path: Path, unless_sound: ExitStack) -> tuple[FileBytes, Header]:
    file = FileBytes(path)
    unless_sound.callback(file.close)
    return file, read_header(file)


class GgufFile(Closing):
    """A GGUF file, open for reading. Made by `open_gguf`; also a context manager.

    Reads may come from several threads at once.

    Attributes
    ----------
    path : Path
        The file, the first one where there are parts.
    version : int
        Of the format: 2 or 3.
    size_bytes : int
        The length of the file, all parts together.
    metadata : Mapping of str to object
        Numbers, booleans and texts as Python values, arrays of numbers as read-only NumPy arrays,
        arrays of texts as a sequence that decodes when asked, arrays of arrays as lists.
    tensors : Mapping of str to TensorInfo
        By name, in the order of the file.
    """

    def __init__(self, parts: Sequence[tuple[FileBytes, Header]]) -> None:
        first_file, first_header = parts[0]
        self.path = first_file.path
        self.version = first_header.version
        self.size_bytes = sum(file.size for file, _ in parts)
        self.metadata: Mapping[str, object] = MappingProxyType(dict(first_header.metadata))
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(
            {tensor.name: tensor for _, header in parts for tensor in header.tensors}
        )
        self._files = {file.path: file for file, _ in parts}

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
        return f"<GgufFile {str(self.path)!r}: {len(self.tensors)} tensors>"

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
