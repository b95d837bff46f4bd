"""A checkpoint opened to be fitted: its model, its weights, which of them are on a grid already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aboard.artifact import gguf_source
from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.importing import import_checkpoint, require_other_place
from aboard.artifact.quantized import GgufWeights, decoder_of
from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.gguf import GgufFile
from aboard.errors import ArtifactError, CorruptTensor
from aboard.models import DecoderModel
from aboard.models.conversion import Float32
from aboard.progress import Progress
from aboard.quantize.grid_detector import detect_grid, exact_blocks
from aboard.quantize.rounding import row_runs, sample_rows

_FLOATS = ("F32", "F16", "BF16")
_WIDE_FLOATS = ("F32", "BF16")
_LARGEST = 65504.0
"""Of float16, which minimums of blocks are, and what parts may stay."""
_WEIGHTS_AT_ONCE = 1 << 21
_SAMPLED_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCheckpoint:
    """A GGUF file that is open.

    Attributes
    ----------
    path : Path
        Where it is.
    file : GgufFile
        The file.
    metadata : dict of str to object
        Its entries, for a file made of it.
    tensors : tuple of NewTensor
        As they are.
    model : DecoderModel
        What they make up.
    grids : mapping of str to str
        Matrices of floats that lie on the grid of a format, and that format.
    weights : GgufWeights
        What they hold.
    """

    path: Path
    file: GgufFile
    metadata: dict[str, object]
    tensors: tuple[NewTensor, ...]
    model: DecoderModel
    grids: Mapping[str, str]
    weights: GgufWeights


def as_gguf(
    checkpoint: Path, out: Path, *, text_only: bool, progress: Progress
) -> tuple[Path, bool]:
    """The GGUF file to work from: `checkpoint` itself, or one beside `out`; whether that is new."""
    if is_gguf(checkpoint):
        return checkpoint, False
    made = imported_beside(checkpoint, out)
    if made.is_file():
        return made, False
    import_checkpoint(checkpoint, made, text_only=text_only, progress=progress)
    return made, True


def imported_beside(checkpoint: Path, out: Path) -> Path:
    """Where the GGUF file of a folder is kept until `out` is there; other folders, other places."""
    folder = folder_of(checkpoint)
    files = [
        (each.name, each.stat().st_size, each.stat().st_mtime_ns)
        for each in sorted(folder.glob("*"))
        if each.is_file() and not is_gguf(each) and not each.name.startswith(".")
    ]
    told = json.dumps([str(folder.resolve()), files])
    return out.with_name(f".{out.name}.{hashlib.sha256(told.encode()).hexdigest()[:16]}.gguf")


def require_other_file(checkpoint: Path, out: Path) -> None:
    """Refuse to replace what `out` is made of: what it loses would be lost.

    Raises
    ------
    ArtifactError
        `out` is the checkpoint, or a file of it.
    """
    if not is_gguf(checkpoint):
        require_other_place(folder_of(checkpoint), out)
    elif checkpoint.exists() and out.exists() and checkpoint.samefile(out):
        raise ArtifactError(
            f"{out}: is the checkpoint itself", hint="Name another file for the result."
        )


def is_gguf(checkpoint: Path) -> bool:
    """Whether it is a GGUF file by its name."""
    return checkpoint.suffix.lower() == ".gguf"


def folder_of(checkpoint: Path) -> Path:
    """The folder of a checkpoint that is named by it, or by its weights."""
    return checkpoint if checkpoint.is_dir() else checkpoint.parent


def open_checkpoint(path: Path, opened: ExitStack, named: Path | None = None) -> OpenCheckpoint:
    """The decoder in the GGUF file `path`; `opened` is given what is to be closed at the end.

    `named`: what messages call it, where it was made of something else.

    Raises
    ------
    CheckpointError
        The file can't be read, isn't a decoder, or holds NaN, infinity or a weight that no block
        can hold.
    """
    file, _, metadata, streams = gguf_source.read(path, None, opened)
    assert isinstance(file, GgufFile)
    model = decoder_of(path, metadata, file)
    plain = GgufWeights(file)
    grids = {}
    for name in dict.fromkeys(weight.name for weight in model.matrices()):
        if file.tensors[name].format in _WIDE_FLOATS:
            _require_moderate(named or path, plain, name)
        if file.tensors[name].format in _FLOATS and (found := grid_of_tensor(plain, name)):
            grids[name] = found
    return OpenCheckpoint(
        path=path,
        file=file,
        metadata=metadata,
        tensors=tuple(stream.tensor for stream in streams),
        model=model,
        grids=grids,
        weights=GgufWeights(file, grids),
    )


def grid_of_tensor(weights: GgufWeights, name: str) -> str | None:
    """The format on whose grid a matrix lies; None where it lies on none.

    Some rows tell whether it is worth looking at all of them.
    """
    found = detect_grid(sample_rows(weights, name, _SAMPLED_ROWS))
    if found is None:
        return None
    for rows in _all_rows(weights, name):
        if rows.any() and exact_blocks(found.format, rows) is None:
            return None
    return found.format


def _require_moderate(path: Path, weights: GgufWeights, name: str) -> None:
    """Look at all of a matrix, before anything is measured, for what would end it."""
    first = 0
    for rows in _all_rows(weights, name):
        if rows.size and max(rows.max(), -rows.min()) > _LARGEST:
            row, column = np.unravel_index(int(np.abs(rows).argmax()), rows.shape)
            raise CorruptTensor(
                f"{path}: tensor {shown(name)}: the weight at [{first + int(row)}, {int(column)}] "
                f"is {rows[row, column]:.6g}, expected at most {_LARGEST:g} to either side of 0: "
                "float16, as which parts or their minimums may be stored, holds no more",
                hint="Look whether the checkpoint is damaged. `aboard import --type bf16` keeps it "
                "at 16 bits.",
            )
        first += rows.shape[0]


def _all_rows(weights: GgufWeights, name: str) -> Iterator[Float32]:
    for first, last in row_runs(weights.shape(name), _WEIGHTS_AT_ONCE):
        yield weights.rows(name, first, last)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
