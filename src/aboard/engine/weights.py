"""Weights on their way from the file into the engine: read, hashed and packed in one pass.

Tensors are read in chunks by several threads, each with a buffer of its own, so the peak is the
packed model plus a bounded buffer. The file is not needed afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.errors import CorruptTensor, MalformedFile, NotEnoughMemory, UnsupportedFile
from aboard.models import DecoderModel, EncoderModel
from aboard.models.decoder import Weight

if TYPE_CHECKING:
    from aboard._native import Matrix
    from aboard.checkpoint.gguf import GgufFile, TensorInfo

_PANEL_ROWS = 16
_CHUNK_BYTES = 1 << 20
_DAMAGED = "The file is damaged or was converted wrongly: get it or convert it again."

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a model, packed, by label; vectors, and taps of
    convolutions, as float32, by name."""

    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, Float32]
    sha256: str
    """Over one line per tensor in use, sorted by name: name, format, shape and the SHA-256 of its
    bytes, separated by tabs."""

    @property
    def size_bytes(self) -> int:
        """Bytes that the packed matrices and the vectors hold in memory."""
        packed = sum(matrix.size_bytes for matrix in self.matrices.values())
        return packed + sum(vector.nbytes for vector in self.vectors.values())


def load_weights(file: GgufFile, model: DecoderModel | EncoderModel, threads: int) -> Weights:
    """Read, hash and pack every tensor of `model` from `file`.

    Raises
    ------
    CheckpointError
        A tensor is missing, unknown, of the wrong shape or format, holds NaN or infinity, or the
        file was cut short.
    NotEnoughMemory
        The system doesn't grant memory for the weights.
    """
    from aboard import _native

    tensors = _tensors(file, model)
    vectors = {weight.name: _found(file, weight) for weight in model.vectors()}
    unused = model.unused if isinstance(model, DecoderModel) else ()
    _refuse_unknown(file, [*tensors, *vectors, *unused])
    parts = {
        part.label: (tensor.info, part) for tensor in tensors.values() for part in tensor.parts
    }
    size_bytes = sum(
        _native.packed_size(_kernel_format(info), *part.shape) for info, part in parts.values()
    )
    try:
        arena = _native.Arena(size_bytes)
    except MemoryError:
        raise NotEnoughMemory(
            f"{file.path}: the system grants no memory for {size_bytes} bytes of weights",
            hint="Free memory, or take a model with fewer bits per weight.",
        ) from None
    # The embedding first, then the layers in order: the engine walks memory as it lies.
    packed = {
        weight.label: _native.Matrix(arena, parts[weight.label][0].format, *weight.shape)
        for weight in model.matrices()
    }
    in_file_order = sorted(
        tensors.values(), key=lambda tensor: (str(tensor.info.path), tensor.info.offset)
    )
    with ThreadPoolExecutor(threads, "aboard-load") as pool:
        digests = dict(pool.map(lambda tensor: _pack(file, tensor, packed), in_file_order))
    unpacked = {}
    for name, info in vectors.items():
        unpacked[name], digests[name] = _vector(file, info)
    return Weights(
        packed,
        unpacked,
        _weights_sha256(
            [*(tensor.info for tensor in tensors.values()), *vectors.values()], digests
        ),
    )


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of the file and the matrices that its rows become, in order."""

    info: TensorInfo
    parts: list[Weight]


def _tensors(file: GgufFile, model: DecoderModel | EncoderModel) -> dict[str, _Tensor]:
    """The tensors that hold the model's matrices, by name."""
    tensors: dict[str, _Tensor] = {}
    for weight in model.matrices():
        info = _found(file, weight)
        tensors.setdefault(weight.name, _Tensor(info, [])).parts.append(weight)
    for tensor in tensors.values():
        tensor.parts.sort(key=lambda part: part.first_row)
        end = 0
        for part in tensor.parts:
            assert part.first_row == end, f"the parts of {part.name} don't follow each other"
            end += part.shape[0]
        assert end == tensor.info.shape[0], f"the parts of {tensor.info.name} are not all of it"
    return tensors


def _found(file: GgufFile, weight: Weight) -> TensorInfo:
    info = file.tensors.get(weight.name)
    if info is None:
        raise MalformedFile(f"{file.path}: has no tensor {weight.name!r}", hint=_DAMAGED)
    if info.shape != weight.tensor_shape:
        raise MalformedFile(
            f"{file.path}: tensor {weight.name!r} is {info.shape}, expected {weight.tensor_shape}",
            hint=_DAMAGED,
        )
    return info


def _refuse_unknown(file: GgufFile, known: Iterable[str]) -> None:
    unknown = sorted(set(file.tensors) - set(known))
    if unknown:
        shown = ", ".join(repr(name) for name in unknown[:3]) + (", ..." if unknown[3:] else "")
        raise UnsupportedFile(
            f"{file.path}: {len(unknown)} tensors that its architecture doesn't use: {shown}",
            hint="They may change the answer, so the model is not run without them.",
        )


def _kernel_format(info: TensorInfo) -> str:
    if info.format not in formats.NAMES:
        raise UnsupportedFile(
            f"tensor {info.name!r} is {info.format}, the engine runs {', '.join(formats.NAMES)}"
        )
    return info.format


def _pack(file: GgufFile, tensor: _Tensor, packed: Mapping[str, Matrix]) -> tuple[str, str]:
    """Pack the matrices of one tensor; its name and the SHA-256 of its bytes."""
    info = tensor.info
    row_bytes = info.size_bytes // info.shape[0]
    step = max(_CHUNK_BYTES // row_bytes // _PANEL_ROWS, 1) * _PANEL_ROWS
    buffer = np.empty(min(step, info.shape[0]) * row_bytes, np.uint8)
    digest = hashlib.sha256()
    for part in tensor.parts:
        rows = part.shape[0]
        for first in range(0, rows, step):
            raw = buffer[: min(step, rows - first) * row_bytes]
            file.read_into(info.name, raw, (part.first_row + first) * row_bytes)
            digest.update(raw.data)
            bad = packed[part.label].pack(raw, first)
            if bad is not None:
                raise CorruptTensor(
                    f"{info.path}: tensor {info.name!r}: row {part.first_row + bad} holds NaN or "
                    "infinity where a scale or a weight should be",
                    hint=_DAMAGED,
                )
    return info.name, digest.hexdigest()


def _vector(file: GgufFile, info: TensorInfo) -> tuple[Float32, str]:
    """A vector as float32, and the SHA-256 of its bytes."""
    raw = file.read(info.name)
    form = formats.by_name(info.format)
    values = form.decode(raw.reshape(-1, form.BLOCK_BYTES)).reshape(info.shape)
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        raise CorruptTensor(
            f"{info.path}: tensor {info.name!r}: value {bad} is {values[bad]}, expected a number",
            hint=_DAMAGED,
        )
    return np.ascontiguousarray(values, np.float32), hashlib.sha256(raw.data).hexdigest()


def _weights_sha256(infos: Iterable[TensorInfo], digests: Mapping[str, str]) -> str:
    lines = [
        "\t".join([info.name, info.format, "x".join(map(str, info.shape)), digests[info.name]])
        for info in sorted(infos, key=lambda info: info.name)
    ]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
