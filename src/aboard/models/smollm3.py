"""SmolLM3: a Llama whose every fourth layer knows no positions (NoPE, arXiv:2501.18795)."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("smollm3", metadata, tensor_names)
    rope = file.rope("adjacent")
    return file.model(
        Layer(
            attention=file.attention(i, rope=None if i % 4 == 3 else rope),
            feed_forward=file.feed_forward(i),
        )
        for i in range(file.n_layers)
    )
