"""Llama 2 (arXiv:2307.09288) and 3.x, TinyLlama, SmolLM2 and whoever else shares their layers.

Rotary embedding turns neighbouring values of a head: converters to GGUF reorder the rows of the
query and key matrices for that. Llama 3.1's frequency scaling comes as a tensor of divisors.
"""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("llama", metadata, tensor_names)
    file.given.must_be("use_parallel_residual", False)
    file.given.must_be("tensor_data_layout", "Meta AI original pth")
    file.given.ignore("attention.layer_norm_epsilon")  # of LayerNorm, which these models don't have
    rope = file.rope("adjacent")
    return file.model(
        Layer(attention=file.attention(i, rope=rope), feed_forward=file.feed_forward(i))
        for i in range(file.n_layers)
    )
