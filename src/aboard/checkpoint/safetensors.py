"""safetensors checkpoints: one file, or a folder with its shards; bytes are read when asked for.

>>> from aboard.checkpoint.safetensors import open_safetensors
>>> with open_safetensors("SmolLM2-135M") as checkpoint:        # doctest: +SKIP
...     checkpoint.tensors["model.norm.weight"].shape
(576,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from aboard.checkpoint.file_bytes import FileBytes, is_there
from aboard.checkpoint.foreign import PICKLED_SUFFIXES, pickled
from aboard.checkpoint.safetensors_header import Header, read_header
from aboard.checkpoint.safetensors_index import check_shards, read_index
from aboard.checkpoint.tensor_files import TensorFiles, TensorInfo
from aboard.errors import CheckpointError, UnsupportedFile

__all__ = ["SafetensorsFiles", "TensorInfo", "open_safetensors"]

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class SafetensorsFiles(TensorFiles):
    """The weights of a checkpoint, open for reading. Made by `open_safetensors`.

    Reads may come from several threads at once. A tensor's `format` is its dtype, such as "BF16".

    Attributes
    ----------
    metadata : Mapping of str to str
        What the first file says about itself.
    """

    def __init__(self, path: Path, parts: Sequence[tuple[FileBytes, Header]]) -> None:
        tensors = (tensor for _, header in parts for tensor in header.tensors)
        super().__init__(path, (file for file, _ in parts), tensors)
        self.metadata: Mapping[str, str] = MappingProxyType(dict(parts[0][1].metadata))


def open_safetensors(path: str | Path) -> SafetensorsFiles:
    """The weights in the .safetensors file `path`, or in the folder; only headers are read.

    A folder holds `model.safetensors`, or `model.safetensors.index.json` and the shards it names.

    Raises
    ------
    CheckpointError
        There are no such files, one can't be read or breaks the rules of the format, the index and
        the shards disagree, or the weights are pickled.
    """
    path = Path(path)
    weight_map = None
    files = [path]
    if path.is_dir():
        index = _index(path)
        weight_map = None if index is None else read_index(index)
        files = [path / SINGLE]
        if weight_map is not None:
            files = [path / name for name in sorted(set(weight_map.values()))]
    elif path.suffix.lower() in PICKLED_SUFFIXES:
        raise pickled(path)
    with ExitStack() as unless_sound:
        parts = [_open_part(each, unless_sound) for each in files]
        if weight_map is not None:
            check_shards(path / INDEX, weight_map, [header for _, header in parts], files)
        opened = SafetensorsFiles(path, parts)
        unless_sound.pop_all()
    return opened


def _open_part(path: Path, unless_sound: ExitStack) -> tuple[FileBytes, Header]:
    file = FileBytes(path)
    unless_sound.callback(file.close)
    return file, read_header(file)


def _index(folder: Path) -> Path | None:
    """The index of a folder of shards; None where all is in one file."""
    single, index = is_there(folder / SINGLE), is_there(folder / INDEX)
    if single and index:
        raise UnsupportedFile(
            f"{folder}: has both {SINGLE} and {INDEX}, expected one of them",
            hint="Move away the one that doesn't belong to the model.",
        )
    if single or index:
        return folder / INDEX if index else None
    names = sorted(each.name for each in folder.iterdir())
    for name in names:
        if Path(name).suffix.lower() in PICKLED_SUFFIXES:
            raise pickled(folder / name)
    found = ", ".join(names[:5]) + (", ..." if names[5:] else "")
    raise CheckpointError(
        f"{folder}: has neither {SINGLE} nor {INDEX}, but {found or 'nothing'}",
        hint="Give the folder that the model was published as, with all its files.",
    )
