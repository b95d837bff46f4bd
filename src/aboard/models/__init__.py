"""Architectures: one file each, named as GGUF or config.json names them.

`describe`, in a file with the name of a `general.architecture`, turns a GGUF file's metadata into
a `DecoderModel` or an `EncoderModel`: hyper-parameters, and the names and shapes of the weights,
block by block.
`convert`, in a file with the name of a `model_type`, turns a Hugging Face config.json into a
`Conversion`: the GGUF file that the checkpoint becomes. A file has one of the two or both; it holds
no weights and runs nothing. To add an architecture is to add one file.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel
from aboard.models.encoder import EncoderModel

__all__ = [
    "Config",
    "Conversion",
    "DecoderModel",
    "EncoderModel",
    "architectures",
    "convert_config",
    "describe_model",
    "model_types",
]

_SUPPORT = {
    "__init__",
    "config",
    "conversion",
    "digest",
    "decoder",
    "decoder_config",
    "decoder_file",
    "encoder",
    "full_attention",
    "hyperparameters",
    "layer_kinds",
    "rope_config",
    "text_part",
    "weight_bytes",
}

_FILES = frozenset(file.stem for file in Path(__file__).parent.glob("*.py")) - _SUPPORT


@functools.cache
def architectures() -> tuple[str, ...]:
    """The architectures of GGUF files that Aboard runs."""
    return tuple(name for name in sorted(_FILES) if hasattr(_module(name), "describe"))


@functools.cache
def model_types() -> tuple[str, ...]:
    """The `model_type`s of checkpoints that Aboard imports."""
    return tuple(name for name in sorted(_FILES) if hasattr(_module(name), "convert"))


def describe_model(
    metadata: Mapping[str, object], tensor_names: frozenset[str]
) -> DecoderModel | EncoderModel:
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
    describe = _function("describe", architecture)
    if describe is None:
        raise UnsupportedFile(
            f"the architecture {str(architecture)[:60]!r} is not supported: "
            f"expected one of {', '.join(architectures())}",
            hint="`aboard info` shows what the file holds.",
        )
    return cast(DecoderModel | EncoderModel, describe(metadata, tensor_names))


def convert_config(config: Config) -> Conversion:
    """The GGUF file that a checkpoint with this `config` becomes.

    Raises
    ------
    UnsupportedFile
        Aboard has no such `model_type`.
    ConfigError
        A member of the config is missing, unknown or contradicts another.
    """
    model_type = config.model_type
    convert = _function("convert", model_type)
    if convert is None:
        code = config.has("auto_map")
        raise UnsupportedFile(
            f"{config.where}: the model_type {model_type[:60]!r} is not supported: "
            f"expected one of {', '.join(model_types())}",
            hint="It needs programs from its own folder, which Aboard never runs."
            if code
            else "Look for the model in another form, such as GGUF.",
        )
    return cast(Conversion, convert(config))


def _function(name: str, architecture: object) -> Callable[..., object] | None:
    if not isinstance(architecture, str) or architecture not in _FILES:
        return None
    return getattr(_module(architecture), name, None)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"aboard.models.{name}")
