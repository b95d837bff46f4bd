"""Architectures: one file each, named as GGUF's `general.architecture` names it.

A file turns a checkpoint's metadata into a `DecoderModel`: hyper-parameters, and the names and
shapes of the weights, block by block. It holds no weights and runs nothing. To add an architecture
is to add one file.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from aboard.errors import UnsupportedFile
from aboard.models.decoder import DecoderModel

__all__ = ["ARCHITECTURES", "DecoderModel", "describe_model"]

_SUPPORT = {"__init__", "decoder", "decoder_file", "hyperparameters"}

ARCHITECTURES: tuple[str, ...] = tuple(
    sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in _SUPPORT)
)


def describe_model(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that a GGUF file's `metadata` describes.

    Parameters
    ----------
    metadata : mapping
        Of the file.
    tensor_names : frozenset of str
        What the file holds; some hyper-parameters are told by the presence of a tensor.

    Raises
    ------
    UnsupportedFile
        Aboard has no such architecture.
    ConfigError
        A hyper-parameter is missing, unknown or contradicts another.
    """
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise UnsupportedFile(
            f"the architecture {str(architecture)[:60]!r} is not supported: "
            f"expected one of {', '.join(ARCHITECTURES)}",
            hint="`aboard info` shows what the file holds.",
        )
    module = importlib.import_module(f"aboard.models.{architecture}")
    return cast(DecoderModel, module.describe(metadata, tensor_names))
