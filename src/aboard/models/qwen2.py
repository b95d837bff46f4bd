"""Qwen2 and Qwen2.5 (arXiv:2412.15115): queries, keys and values have biases."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("qwen2", metadata, tensor_names)
    rope = file.rope("halves")
    return file.model(
        Layer(
            attention=file.attention(i, rope=rope, needs_bias=True),
            feed_forward=file.feed_forward(i),
        )
        for i in range(file.n_layers)
    )
