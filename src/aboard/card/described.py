"""A model file as a card tells of it: what it is, whose it is, what its tensors are stored in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aboard.checkpoint.gguf import open_gguf

_LAYER = re.compile(r"blk\.(\d+)\.(.+)")
_ORIGIN = {
    "author": "general.author",
    "organization": "general.organization",
    "source": "general.source.url",
    "base": "general.base_model.0.name",
    "base_source": "general.base_model.0.repo_url",
    "quantized_by": "general.quantized_by",
    "license_link": "general.license.link",
    "calibration_sha256": "aboard.quantize.calibration_sha256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A matrix of a file.

    Attributes
    ----------
    name, format : str
        What it is called, and what it is stored in.
    layer : int or None
        Of which layer it is; None: of none, such as the embedding.
    kind : str
        What it is called in its layer: "attn_q".
    n_weights, size_bytes : int
        How many weights it has and how many bytes they take.
    bits : float
        Of a weight.
    """

    name: str
    format: str
    layer: int | None
    kind: str
    n_weights: int
    size_bytes: int
    bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A model file. None stands for what it doesn't say.

    Attributes
    ----------
    path : str
        Where it is.
    name, license, architecture : str or None
        What it says of itself.
    origin : mapping of str to str
        Whose it is and what it was made from, as far as it says so.
    n_parameters, size_bytes : int
        Weights of all tensors, and bytes of the file.
    bits_per_weight : float
        Of the whole file.
    tensors : tuple of StoredTensor
        Its matrices.
    """

    path: str
    name: str | None
    license: str | None
    architecture: str | None
    origin: Mapping[str, str]
    n_parameters: int
    size_bytes: int
    bits_per_weight: float
    tensors: tuple[StoredTensor, ...]


def describe_file(path: str | Path) -> Described:
    """What the GGUF file at `path` says of itself; its header is read.

    Raises
    ------
    CheckpointError
        It is no sound GGUF file.
    """
    with open_gguf(path) as file:
        metadata, size_bytes = file.metadata, file.size_bytes
        infos = list(file.tensors.values())
    n_parameters = sum(math.prod(each.shape) for each in infos)
    return Described(
        path=str(path),
        name=_text(metadata, "general.name"),
        license=_text(metadata, "general.license"),
        architecture=_text(metadata, "general.architecture"),
        origin={name: text for name, key in _ORIGIN.items() if (text := _text(metadata, key))},
        n_parameters=n_parameters,
        size_bytes=size_bytes,
        bits_per_weight=8 * size_bytes / n_parameters if n_parameters else 0.0,
        tensors=tuple(
            _stored(each.name, str(each.format), math.prod(each.shape), each.size_bytes)
            for each in infos
            if len(each.shape) > 1
        ),
    )


def weights_by_format(described: Described) -> dict[str, int]:
    """How many weights of a file's matrices have which format."""
    found: dict[str, int] = {}
    for each in described.tensors:
        found[each.format] = found.get(each.format, 0) + each.n_weights
    return found


def place_of(name: str) -> tuple[int | None, str]:
    """The layer of a tensor, None where it is of none, and what it is called there."""
    found = _LAYER.fullmatch(name)
    kind = (found[2] if found else name).removesuffix(".weight")
    return (int(found[1]) if found else None), kind


def _stored(name: str, format: str, n_weights: int, size_bytes: int) -> StoredTensor:
    layer, kind = place_of(name)
    bits = 8 * size_bytes / n_weights if n_weights else 0.0
    return StoredTensor(
        name=name,
        format=format,
        layer=layer,
        kind=kind,
        n_weights=n_weights,
        size_bytes=size_bytes,
        bits=bits,
    )


def _text(metadata: Mapping[str, object], key: str) -> str | None:
    value = metadata.get(key)
    return value if isinstance(value, str) and value else None
