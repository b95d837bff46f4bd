"""What came of fitting a checkpoint, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTensor:
    """A matrix of the file.

    Attributes
    ----------
    name, format : str
        The tensor, and what it is stored in.
    exact : bool
        Whether it is the checkpoint's own to the bit.
    size_bytes : int
        In the file.
    error : float or None
        What rounding does to its outputs, on tokens held out, as a part of their mean square.
    part_kl : float or None
        The KL divergence, in nats a token, that was foreseen where its part alone is rounded.
    part_measured : bool
        Whether that was measured in this format.
    """

    name: str
    format: str
    exact: bool
    size_bytes: int
    error: float | None = None
    part_kl: float | None = None
    part_measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPart:
    """Tensors that get one format, and what that costs.

    Attributes
    ----------
    tensors : tuple of str
        Their names.
    measured : mapping of str to float
        By format, the KL divergence in nats a token where this part alone is rounded to it.
    """

    tensors: tuple[str, ...]
    measured: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedCheckpoint:
    """The file and what it costs.

    Attributes
    ----------
    path, source : str
        The file and the checkpoint.
    sha256, source_sha256 : str
        Of the file, and of the GGUF file that it was made from.
    size_bytes : int
        Of the whole file.
    bits_per_weight : float
        Of the whole file, over all weights.
    memory_bytes : int
        Of its weights, once they are loaded.
    budget_bytes, budget_memory_bytes : int or None
        What the file, or its weights in memory, may have had.
    smallest_bytes : int
        Of the smallest file there is.
    predicted_kl : float or None
        What the parts cost by themselves, rounded to nearest, and what any change costs, summed.
    measured_kl : float
        KL divergence from the checkpoint in nats a token, on tokens that are held out.
    measured_kl_error : float or None
        Its standard error over windows; None of a single one.
    n_tokens : int
        By how many tokens it was measured.
    n_tries : int
        How many files were made to find this one: more than one for a budget of loss.
    calibration_sha256 : str
        The hash of the tokens of calibration.
    calibration_sources : mapping of str to int
        How many of them came from where.
    method : mapping
        How codes were chosen.
    tensors : tuple of FittedTensor
        All matrices.
    parts : tuple of FittedPart
        What was measured of its parts; empty where nothing was.
    notes : tuple of str
        What a reader should know.
    """

    path: str
    source: str
    sha256: str
    source_sha256: str
    size_bytes: int
    bits_per_weight: float
    memory_bytes: int
    budget_bytes: int | None
    budget_memory_bytes: int | None
    smallest_bytes: int
    predicted_kl: float | None
    measured_kl: float
    measured_kl_error: float | None
    n_tokens: int
    n_tries: int
    calibration_sha256: str
    calibration_sources: Mapping[str, int]
    method: Mapping[str, Any]
    tensors: tuple[FittedTensor, ...]
    parts: tuple[FittedPart, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON, and how many weights' tensors have which format."""
        by_format: dict[str, int] = {}
        for tensor in self.tensors:
            by_format[tensor.format] = by_format.get(tensor.format, 0) + 1
        return asdict(self) | {"tensors_by_format": by_format}
