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

from aboard.checkpoint.file_bytes import FileBytes
from aboard.checkpoint.gguf_header import Header, read_header
from aboard.checkpoint.gguf_split import check_split, part_paths
from aboard.checkpoint.tensor_files import TensorFiles, TensorInfo

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


class GgufFile(TensorFiles):
    """A GGUF file, open for reading. Made by `open_gguf`; also a context manager.

    Reads may come from several threads at once. `path` is the first file where there are parts.

    Attributes
    ----------
    version : int
        Of the format: 2 or 3.
    metadata : Mapping of str to object
        Numbers, booleans and texts as Python values, arrays of numbers as read-only NumPy arrays,
        arrays of texts as a sequence that decodes when asked, arrays of arrays as lists.
    number_types : Mapping of str to str
        What NumPy calls the type that a single number of the metadata has in the file.
    surplus_bytes : int
        Bytes behind the last tensor and its padding, of all parts: nobody reads them.
    """

    def __init__(self, parts: Sequence[tuple[FileBytes, Header]]) -> None:
        first_file, first_header = parts[0]
        tensors = (tensor for _, header in parts for tensor in header.tensors)
        super().__init__(first_file.path, (file for file, _ in parts), tensors)
        self.version = first_header.version
        self.surplus_bytes = sum(max(file.size - header.end_byte, 0) for file, header in parts)
        self.metadata: Mapping[str, object] = MappingProxyType(dict(first_header.metadata))
        self.number_types: Mapping[str, str] = MappingProxyType(dict(first_header.number_types))
