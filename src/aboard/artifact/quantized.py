"""A GGUF file in other formats, rounded with regard to what its matrices are multiplied with.

The file appears whole or not at all. Finished tensors are kept beside it, in `.NAME.quantize`,
until then: the same call once more goes on where a killed one stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aboard import formats
from aboard.artifact import gguf_source
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.artifact.types import type_entries
from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.tensor_files import TensorFiles
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import CorruptTensor, UnsupportedFile, UsageError
from aboard.models import DecoderModel, describe_model
from aboard.models.conversion import Float32
from aboard.overlap import sample_runs
from aboard.progress import Progress, silent
from aboard.quantize.calibration import Calibration
from aboard.quantize.grid_detector import exact_blocks
from aboard.quantize.keeping import Keeping
from aboard.quantize.quantizing import OpenLayer, quantize_layers
from aboard.quantize.rounding import Bytes, Method, Rounding, row_runs

_VERSION = 1  # of the method: what a newer one would round otherwise isn't gone on with


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """What was made."""

    path: str
    source: str
    size_bytes: int
    bits_per_weight: float
    """Of the whole file, over all weights."""
    roundings: tuple[Rounding, ...]


class GgufWeights:
    """The tensors of an open GGUF file as `aboard.quantize` asks for them.

    Parameters
    ----------
    files : TensorFiles
        The open file.
    grids : mapping of str to str, optional
        Of floats that lie on the grid of a format, that format: `pieces` gives blocks of it.
    """

    def __init__(self, files: TensorFiles, grids: Mapping[str, str] | None = None) -> None:
        self._files = files
        self._grids = dict(grids or {})

    def format(self, name: str) -> str:
        """The format of what `pieces` gives."""
        return self._grids.get(name) or self._files.tensors[name].format

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, outermost first."""
        return self._files.tensors[name].shape

    def rows(self, name: str, first: int, last: int) -> Float32:
        """Some rows of a matrix, (last - first, K) float32."""
        info = self._files.tensors[name]
        form = formats.by_name(info.format)
        raw = self._bytes(name, first, last)
        found = form.decode(raw.reshape(last - first, -1, form.BLOCK_BYTES))
        finite = np.isfinite(found)
        if not finite.all():
            row, column = np.unravel_index(int(np.argmin(finite)), found.shape)
            raise CorruptTensor(
                f"{info.path}: tensor {shown(name)}: the weight at [{first + int(row)}, "
                f"{int(column)}] is {found[row, column]}, expected a finite number",
                hint="The file is damaged: get or convert it again.",
            )
        return np.ascontiguousarray(found, np.float32)

    def pieces(self, name: str) -> tuple[str, Iterator[Bytes]]:
        """The format of a tensor and its bytes, some rows at a time; a multiple of 16, to the last.

        Yields
        ------
        (n,) uint8
        """
        read = self._exact if name in self._grids else self._bytes
        runs = row_runs(self.shape(name))
        return self.format(name), (read(name, *run) for run in runs)

    def _bytes(self, name: str, first: int, last: int) -> Bytes:
        """Some rows as they stand in the file."""
        info = self._files.tensors[name]
        begin, end = (info.size_bytes * row // info.shape[0] for row in (first, last))
        raw = np.empty(end - begin, np.uint8)
        self._files.read_into(name, raw, begin)
        return raw

    def _exact(self, name: str, first: int, last: int) -> Bytes:
        """The blocks that decode to precisely what floats of some rows are."""
        weights = self.rows(name, first, last)
        blocks = exact_blocks(self._grids[name], weights)
        if blocks is None:
            # zeros alone lie on every grid, and have no scale to be found
            blocks = formats.encode(self._grids[name], weights)
        return blocks.reshape(-1)


def quantize_file(
    source: str | Path,
    out: str | Path,
    assignment: Mapping[str, str],
    *,
    calibration: Calibration | None,
    open_layer: OpenLayer,
    method: Method | None = None,
    grids: Mapping[str, str] | None = None,
    entries: Mapping[str, object] | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Quantized:
    """Write the GGUF file `source` as `out`, its matrices in the formats of `assignment`.

    Parameters
    ----------
    source, out : path
        A GGUF file, best of F32, F16 or BF16, and the new one.
    assignment : mapping of str to str
        Names of matrices and their formats; other tensors stay as they are.
    calibration, open_layer, method, progress
        As for `aboard.quantize.quantizing.quantize_layers`.
    grids : mapping of str to str, optional
        Matrices of floats that lie on the grid of a format already, and that format: they are
        stored in it to the bit, where `assignment` doesn't name them.
    entries : mapping of str to object, optional
        More entries for the metadata.
    threads : int, optional
        By default one for each core. The file doesn't depend on it.

    Raises
    ------
    CheckpointError
        The source can't be read, or isn't a decoder.
    UsageError
        The assignment names what isn't a matrix of the model, or a format it can't have.
    ArtifactError
        The file can't be written.
    NumericalError
        The model computes no numbers on the calibration text.
    """
    source, out = Path(source), Path(out)
    method = method or Method()
    with ExitStack() as opened:
        files, _, metadata, streams = gguf_source.read(source, None, opened)
        model = decoder_of(source, metadata, files)
        _check(model, assignment)
        weights = GgufWeights(files, grids)
        tensors = [
            NewTensor(name, assignment.get(name) or weights.format(name), each.tensor.shape)
            for each in streams
            for name in (each.tensor.name,)
        ]
        keeping = Keeping(
            out.with_name(f".{out.name}.quantize"),
            _key(source, assignment, calibration if method.needs_inputs else None, method, grids),
        )
        roundings = quantize_layers(
            model,
            weights,
            assignment,
            calibration=calibration,
            open_layer=open_layer,
            keeping=keeping,
            method=method,
            threads=threads or os.cpu_count() or 1,
            progress=progress,
        )
        metadata |= (
            type_entries(tensors) | provenance(metadata, calibration, method) | dict(entries or {})
        )
        with GgufWriter(out, metadata, tensors) as writer:
            for tensor in tensors:
                kept = keeping.get(tensor.name) if tensor.name in assignment else None
                for piece in weights.pieces(tensor.name)[1] if kept is None else [kept[1]]:
                    writer.write(tensor.name, piece)
            writer.publish()
        keeping.discard()
    n_weights = sum(math.prod(tensor.shape) for tensor in tensors)
    return Quantized(
        path=str(out),
        source=str(source),
        size_bytes=writer.size_bytes,
        bits_per_weight=8 * writer.size_bytes / n_weights,
        roundings=tuple(roundings),
    )


def decoder_of(source: Path, metadata: Mapping[str, object], files: TensorFiles) -> DecoderModel:
    """The decoder that an open file describes.

    Raises
    ------
    CheckpointError
        It isn't one.
    """
    model = describe_model(_plain(metadata), frozenset(files.tensors))
    if not isinstance(model, DecoderModel):
        raise UnsupportedFile(
            f"{source}: is an encoder, and only decoders are calibrated",
            hint="`aboard import --type q8_0` rounds it without calibration.",
        )
    return model


def _plain(metadata: Mapping[str, object]) -> dict[str, object]:
    """Entries as a reader of the file has them."""
    return {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in metadata.items()
    }


def _check(model: DecoderModel, assignment: Mapping[str, str]) -> None:
    matrices = {weight.name: weight.tensor_shape for weight in model.matrices()}
    for name, form in assignment.items():
        if name not in matrices:
            raise UsageError(f"{shown(name)} is no matrix of the model")
        fmt = formats.encoder(form) if form not in formats.searchable() else formats.by_name(form)
        if matrices[name][-1] % fmt.BLOCK:
            raise UsageError(
                f"tensor {shown(name)} has rows of {matrices[name][-1]} weights, which "
                f"{form}, with blocks of {fmt.BLOCK}, can't hold"
            )


def _key(
    source: Path,
    assignment: Mapping[str, str],
    calibration: Calibration | None,
    method: Method,
    grids: Mapping[str, str] | None,
) -> str:
    """What the tensors that are kept depend on."""
    state = source.stat()
    told = {
        "version": _VERSION,
        "source": [str(source.resolve()), state.st_size, state.st_mtime_ns],
        "assignment": dict(assignment),
        "grids": dict(grids or {}),
        "method": method.entries(),
        "calibration": None
        if calibration is None
        else [calibration.sha256, calibration.n_held_out],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def provenance(
    metadata: Mapping[str, object], calibration: Calibration | None, method: Method
) -> dict[str, object]:
    """Entries that tell how the file was made; `metadata`: of the source, with its tokenizer."""
    entries: dict[str, object] = {
        "general.quantized_by": "Aboard",
        "aboard.quantize.rounding": method.rounding,
        "aboard.quantize.by_importance": method.by_importance,
    }
    if calibration is not None and method.needs_inputs:
        entries["aboard.quantize.calibration_sha256"] = calibration.sha256
        entries["aboard.quantize.calibration_tokens"] = np.uint32(calibration.windows.size)
        if "tokenizer.ggml.model" in metadata:
            tokenizer = Tokenizer.from_gguf(_plain(metadata))
            texts = map(tokenizer.decode, calibration.windows.tolist())
            entries |= sample_runs(texts).metadata()
    return entries
