"""A GGUF file as what another one is to hold: the same metadata, its matrices in another type."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.tensor_stream import Bytes, Decode, Stream
from aboard.artifact.types import EMBEDDING, HEAD, type_of
from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.gguf import GgufFile, open_gguf
from aboard.checkpoint.tensor_files import TensorFiles
from aboard.errors import UnsupportedFile
from aboard.models.conversion import Float32

Read = tuple[TensorFiles, Decode, dict[str, object], list[Stream]]


def read(path: Path, wanted: str | None, opened: ExitStack) -> Read:
    """The file, how its bytes are decoded, the metadata and the tensors.

    `opened` is given what is to be closed at the end.

    Raises
    ------
    CheckpointError
        The file can't be read, or isn't a model.
    """
    file = open_gguf(path)
    opened.callback(file.close)
    kind = file.metadata.get("general.type", "model")
    if kind != "model" or not file.tensors:
        found = f"holds a {str(kind)[:40]!r}" if kind != "model" else "has no tensors"
        raise UnsupportedFile(f"{path}: {found}, expected a model with its weights")
    head = HEAD if HEAD in file.tensors else EMBEDDING
    streams = []
    for tensor in file.tensors.values():
        if tensor.format not in formats.NAMES:
            raise UnsupportedFile(
                f"{path}: tensor {shown(tensor.name)} is {tensor.format}, "
                f"expected one of {', '.join(formats.NAMES)}"
            )
        form = tensor.format
        if wanted is not None and len(tensor.shape) > 1:
            form = type_of(
                tensor.name, tensor.shape, wanted, tensor.format, is_head=tensor.name == head
            )
        streams.append(Stream(NewTensor(tensor.name, form, tensor.shape), [tensor]))
    return file, _decode, _metadata(file), streams


def _decode(form: str, raw: Bytes) -> Float32:
    fmt = formats.by_name(form)
    return fmt.decode(raw.reshape(1, -1, fmt.BLOCK_BYTES)).reshape(-1)


def _metadata(file: GgufFile) -> dict[str, object]:
    """The entries, each of the type that it has in `file`; those of its parts are left out."""
    numbers = {key: np.dtype(name).type for key, name in file.number_types.items()}
    return {
        key: numbers[key](value) if key in numbers else value
        for key, value in file.metadata.items()
        if not key.startswith("split.") and key != "general.alignment"
    }
