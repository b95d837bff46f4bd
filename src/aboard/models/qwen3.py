"""Qwen3 (arXiv:2505.09388), its dense models: each head of queries and keys is normed."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("qwen3", metadata, tensor_names)
    rope = file.rope("halves")
    return file.model(
        Layer(
            attention=file.attention(i, rope=rope, head_norms="each"),
            feed_forward=file.feed_forward(i),
        )
        for i in range(file.n_layers)
    )
