"""Tensors on their way from a checkpoint into a GGUF file: some rows at a time, in float32 between.

A few threads read, check, change and round; the rows are written in order. Memory is bounded by a
few pieces, whatever the size of a tensor.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.checkpoint.file_bytes import shown
from aboard.checkpoint.tensor_files import TensorFiles, TensorInfo
from aboard.errors import CorruptTensor, UnsupportedFile, UsageError
from aboard.models.conversion import Float32, Transform
from aboard.progress import Progress

Bytes = npt.NDArray[np.uint8]
Decode = Callable[[str, Bytes], Float32]
"""Weights of bytes in a type, flat."""

PIECE_WEIGHTS = 1 << 18
MAX_THREADS = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """One tensor of the new file and where its rows come from.

    Attributes
    ----------
    tensor : NewTensor
        What is written.
    sources : sequence of TensorInfo, or an array
        Whose rows it has, one after another; or its values, float32.
    transform : Transform, optional
        What is done to the rows.
    """

    tensor: NewTensor
    sources: Sequence[TensorInfo] | Float32
    transform: Transform | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    stream: Stream
    source: TensorInfo
    first_row: int
    n_rows: int


def write_streams(
    writer: GgufWriter,
    files: TensorFiles,
    decode: Decode,
    streams: Sequence[Stream],
    threads: int,
    progress: Progress,
) -> None:
    """Write every tensor of `streams`, in order, from `files` through `writer`.

    Raises
    ------
    CheckpointError
        A weight is NaN or infinite, the file was cut short, or a type can't be read.
    UnsupportedFile
        A weight is beyond the range of the type it is to have.
    ArtifactError
        The new file can't be written.
    """
    total_bytes = sum(stream.tensor.size_bytes for stream in streams)
    done_bytes = 0
    for stream, octets in _pieces_made(files, decode, streams, threads):
        writer.write(stream.tensor.name, octets)
        done_bytes += octets.size
        progress("import", done_bytes, total_bytes)


def _pieces_made(
    files: TensorFiles, decode: Decode, streams: Sequence[Stream], threads: int
) -> Iterator[tuple[Stream, Bytes]]:
    """The bytes of every piece, in order, a few of them made ahead."""
    ahead: deque[tuple[Stream, Future[Bytes]]] = deque()
    threads = min(threads, MAX_THREADS)
    with ThreadPoolExecutor(threads, "aboard-import") as pool:
        try:
            for stream in streams:
                for make in _makers(files, decode, stream):
                    ahead.append((stream, pool.submit(make)))
                    if len(ahead) > threads:
                        done, future = ahead.popleft()
                        yield done, future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def _makers(files: TensorFiles, decode: Decode, stream: Stream) -> Iterator[Callable[[], Bytes]]:
    """What makes each piece of one tensor."""
    if isinstance(stream.sources, np.ndarray):
        values = stream.sources
        yield partial(_rounded, stream, values.reshape(1, -1))
        return
    for source in stream.sources:
        n_rows, n_columns = _rows_of(stream, source)
        unit = 1 if stream.transform is None else stream.transform.rows_at_once
        step = max(PIECE_WEIGHTS // n_columns // unit, 1) * unit
        for first in range(0, n_rows, step):
            piece = _Piece(stream, source, first, min(step, n_rows - first))
            yield partial(_made, files, decode, piece)


def as_matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tensor, a vector's being (n, 1)."""
    return (math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else (math.prod(shape), 1)


def _rows_of(stream: Stream, source: TensorInfo) -> tuple[int, int]:
    """Rows and columns that a source is read by: a vector that nothing is done to, as one row."""
    if stream.transform is None and len(source.shape) < 2:
        return 1, math.prod(source.shape)
    return as_matrix(source.shape)


def _made(files: TensorFiles, decode: Decode, piece: _Piece) -> Bytes:
    source, stream = piece.source, piece.stream
    n_rows, n_columns = _rows_of(stream, source)
    row_bytes = source.size_bytes // n_rows
    raw = np.empty(piece.n_rows * row_bytes, np.uint8)
    files.read_into(source.name, raw, piece.first_row * row_bytes)
    rows = decode(source.format, raw).reshape(piece.n_rows, n_columns)
    _require_finite(piece, rows)
    if stream.transform is not None:
        rows = np.ascontiguousarray(stream.transform(rows))
    elif source.format == stream.tensor.format:
        return raw  # as it was: its blocks are not rounded again
    return _rounded(stream, rows)


def _require_finite(piece: _Piece, rows: Float32) -> None:
    finite = np.isfinite(rows)
    if finite.all():
        return
    bad = int(np.argmin(finite))
    index = np.unravel_index(piece.first_row * rows.shape[1] + bad, piece.source.shape)
    raise CorruptTensor(
        f"{piece.source.path}: tensor {shown(piece.source.name)}: the weight at "
        f"{[int(i) for i in index]} is {rows.reshape(-1)[bad]}, expected a finite number",
        hint="The checkpoint is damaged, or its training failed: get another one.",
    )


def _rounded(stream: Stream, rows: Float32) -> Bytes:
    tensor = stream.tensor
    matrix = rows if len(tensor.shape) > 1 else rows.reshape(1, -1)
    try:
        return formats.encode(tensor.format, matrix).reshape(-1)
    except UsageError as error:
        raise UnsupportedFile(
            f"tensor {shown(tensor.name)}: {error}, of which {tensor.format} is made",
            hint="Import it as bf16 or f32.",
        ) from None
