"""Is the file whole, does it hold the tensors of its architecture, and can their values be right?

Every value is decoded, in chunks, by the reference of its format; nothing of them is kept.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aboard import formats
from aboard.checkpoint.gguf import GgufFile, TensorInfo, open_gguf
from aboard.errors import AboardError, MalformedFile, UnsupportedFile
from aboard.evaluate.report import Finding, finding
from aboard.evaluate.subject import Subject
from aboard.models import describe_model

FILE = ("file",)
WEIGHTS = ("architecture", "tensors", "finite-weights", "zero-weights", "weight-scales")

_CHUNK_VALUES = 1 << 18
# How far the root mean square of a tensor may be from that of its kind in other layers. Real models
# differ by a factor of 4 in matrices and of 13 in vectors (docs/experiments.md).
_FURTHEST_MATRIX, _FURTHEST_VECTOR = 10.0, 50.0
_LARGEST_VALUE = 65504.0  # of float16
_SMALLEST_RMS = 1e-6


def check_file(subject: Subject) -> Iterator[Finding]:
    """Whether the file can be opened; it stays open in `subject`."""
    expected = "a whole GGUF file, and nothing behind its last tensor"
    try:
        file = open_gguf(subject.path)
    except (MalformedFile, UnsupportedFile) as error:
        yield finding(FILE[0], expected, "", failures=[str(error)])
        return
    subject.file, subject.metadata = file, file.metadata
    subject.n_parameters = sum(math.prod(tensor.shape) for tensor in file.tensors.values())
    found = f"GGUF {file.version}, {len(file.tensors)} tensors, {file.size_bytes:,} bytes"
    more = f"{file.surplus_bytes:,} bytes stand behind the last tensor, which nobody reads"
    yield finding(
        FILE[0],
        expected,
        found,
        warnings=[more] if file.surplus_bytes else [],
        figures={"n_parameters": subject.n_parameters},
    )


def check_weights(subject: Subject) -> Iterator[Finding]:
    """Names, shapes, formats and values of the tensors."""
    assert subject.file is not None
    yield _architecture(subject, subject.file)
    if subject.config is not None:
        yield _tensors(subject, subject.file)
    yield from _values(subject.file, subject)


def _architecture(subject: Subject, file: GgufFile) -> Finding:
    expected = "an architecture that Aboard runs, with hyper-parameters that agree"
    try:
        config = describe_model(file.metadata, frozenset(file.tensors))
    except AboardError as error:
        return finding(WEIGHTS[0], expected, "", failures=[str(error)])
    subject.config = config
    found = f"{config.architecture}, {len(config.layers)} layers, {subject.n_parameters:,} weights"
    return finding(WEIGHTS[0], expected, found)


def _tensors(subject: Subject, file: GgufFile) -> Finding:
    assert subject.config is not None
    matrices = {weight.name: weight.tensor_shape for weight in subject.config.matrices()}
    vectors = {weight.name: weight.tensor_shape for weight in subject.config.vectors()}
    known = {**matrices, **vectors}
    wrong = []
    for name, shape in known.items():
        info = file.tensors.get(name)
        if info is None:
            wrong.append(f"{name} is missing")
        elif info.shape != shape:
            wrong.append(f"{name} is {info.shape}, expected {shape}")
        elif info.format not in formats.NAMES:
            wrong.append(f"{name} is {info.format}, which the engine doesn't run")
    wrong += [
        f"{name} is not used by the architecture" for name in sorted({*file.tensors} - {*known})
    ]
    return finding(
        "tensors",
        "each tensor of the architecture, of its shape, in a format that the engine runs; no other",
        f"all {len(known)}: {len(matrices)} matrices, {len(vectors)} vectors",
        failures=wrong,
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """What the values of one tensor amount to."""

    n_bad: int  # NaN or infinite; the rest of the figures is for finite values alone
    smallest: float
    largest: float
    rms: float


def _values(file: GgufFile, subject: Subject) -> Iterator[Finding]:
    infos = [info for info in file.tensors.values() if info.format in formats.NAMES]
    total_bytes, done_bytes = sum(info.size_bytes for info in infos), 0
    values: dict[str, _Values] = {}
    try:
        with ThreadPoolExecutor(subject.threads, "aboard-check") as pool:
            measured = pool.map(lambda info: _measure(file, info), infos)
            for info, found in zip(infos, measured, strict=True):
                values[info.name] = found
                done_bytes += info.size_bytes
                subject.progress("examine", done_bytes, total_bytes)
    except MalformedFile as error:  # cut short since it was opened
        yield finding("finite-weights", "", "", failures=[str(error)])
        return
    yield finding(
        "finite-weights",
        "no NaN and no infinity",
        f"all values of {len(values)} tensors",
        failures=[
            f"{name} has {each.n_bad} values of NaN or infinity"
            for name, each in values.items()
            if each.n_bad
        ],
    )
    yield finding(
        "zero-weights",
        "no matrix of one value alone, no vector of zeros but for biases",
        "no tensor is constant where that makes no sense",
        warnings=[
            f"{name} is {each.smallest:g} throughout"
            for name, each in values.items()
            if _is_dead(name, each, file.tensors[name])
        ],
    )
    yield finding(
        "weight-scales",
        f"values up to {_LARGEST_VALUE:,.0f}; root mean squares above {_SMALLEST_RMS:g} and like "
        f"those in other layers, within a factor of {_FURTHEST_MATRIX:.0f}, for vectors "
        f"{_FURTHEST_VECTOR:.0f}",
        "each tensor is much like those in other layers",
        warnings=_implausible(file, values),
    )


def _measure(file: GgufFile, info: TensorInfo) -> _Values:
    form = formats.by_name(info.format)
    step = max(_CHUNK_VALUES // form.BLOCK, 1) * form.BLOCK_BYTES
    buffer = np.empty(min(step, info.size_bytes), np.uint8)
    n_bad, smallest, largest, squares = 0, math.inf, -math.inf, 0.0
    for first in range(0, info.size_bytes, step):
        raw = buffer[: min(step, info.size_bytes - first)]
        file.read_into(info.name, raw, first)
        with np.errstate(all="ignore"):  # of damaged scales
            values = form.decode(raw.reshape(-1, form.BLOCK_BYTES)).reshape(-1)
            total = float(np.dot(values, values))
        if not math.isfinite(total):  # bad values, or a square beyond float32
            fine = np.isfinite(values)
            n_bad += int(values.size - np.count_nonzero(fine))
            values = values[fine]
            total = float(np.square(values, dtype=np.float64).sum())
        if values.size:
            smallest = min(smallest, float(values.min()))
            largest = max(largest, float(values.max()))
        squares += total
    return _Values(n_bad, smallest, largest, math.sqrt(squares / math.prod(info.shape)))


def _is_dead(name: str, values: _Values, info: TensorInfo) -> bool:
    if values.smallest != values.largest or name.endswith(".bias"):
        return False
    return values.largest == 0 or (len(info.shape) > 1 and math.prod(info.shape) > 1)


def _implausible(file: GgufFile, values: Mapping[str, _Values]) -> Iterator[str]:
    kinds: dict[str, list[float]] = {}
    for name, each in values.items():
        if each.rms:
            kinds.setdefault(_kind(name), []).append(each.rms)
    middle = {kind: statistics.median(found) for kind, found in kinds.items()}
    for name, each in values.items():
        most = max(each.largest, -each.smallest)
        if most > _LARGEST_VALUE:
            yield f"{name} holds {most:.3g}"
        elif each.rms and not name.endswith(".bias"):
            typical = middle[_kind(name)]
            is_vector = len(file.tensors[name].shape) == 1
            furthest = _FURTHEST_VECTOR if is_vector else _FURTHEST_MATRIX
            if each.rms < _SMALLEST_RMS:
                yield f"{name} has a root mean square of {each.rms:.3g}"
            elif not 1 / furthest <= each.rms / typical <= furthest:
                yield (
                    f"{name} has a root mean square of {each.rms:.3g}, "
                    f"in other layers it is {typical:.3g}"
                )


def _kind(name: str) -> str:
    """The name without the number of the layer."""
    return re.sub(r"\.\d+\.", ".", name)
