"""A model that is evaluated, loaded, with what its file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aboard.checkpoint.gguf import open_gguf
from aboard.engine import Model, load
from aboard.errors import UsageError
from aboard.evaluate.evaluation import Evaluated
from aboard.models import DecoderModel, describe_model

LEAST_CONTEXT = 2048
"""Tokens that sequences may have however short the windows are: those of tasks."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded model and its file's metadata.

    Attributes
    ----------
    given : str
        The path.
    model : Model
        Loaded.
    metadata : mapping
        Of the file.
    size_bytes : int
        Of the file.
    """

    given: str
    model: Model
    metadata: Mapping[str, object]
    size_bytes: int

    def about(self) -> Evaluated:
        """What a report says of it."""
        model = self.model
        return Evaluated(
            path=self.given,
            architecture=model.config.architecture,
            weights_sha256=model.weights_sha256,
            tokenizer_sha256=model.tokenizer.sha256,
            size_bytes=self.size_bytes,
            kv=model.kv,
            activations=model.activations,
        )


def open_for_evaluation(
    path: str | Path, window: int, threads: int | None, kv: str, activations: str
) -> Opened:
    """The model in the file at `path`, for windows of so many tokens and for tasks.

    Raises
    ------
    UsageError
        It is an encoder.
    AboardError
        As for `aboard.load`.
    """
    with open_gguf(path) as file:
        metadata, size_bytes = file.metadata, file.size_bytes
        config = describe_model(metadata, frozenset(file.tensors))
    if not isinstance(config, DecoderModel):
        raise UsageError(
            f"{path}: is an encoder, which predicts no text", hint="Use `aboard embed`."
        )
    context = min(max(window, LEAST_CONTEXT), config.context_length)
    model = load(
        path, threads=threads, context=context, kv=kv, activations=activations, prefix_cache_bytes=0
    )
    return Opened(str(path), model, metadata, size_bytes)
