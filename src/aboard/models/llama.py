"""Llama 2 (arXiv:2307.09288) and 3.x, TinyLlama, SmolLM2 and whoever else shares their layers.

Rotary embedding turns neighbouring values of a head: converters to GGUF reorder the rows of the
query and key matrices for that. Llama 3.1's frequency scaling comes as a tensor of divisors.
"""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.rope_config import RopeConfig


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


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(rms_norm_eps=1e-6, max_position_embeddings=2048)
    return converted(DecoderConfig("llama", config))


def converted(decoder: DecoderConfig) -> Conversion:
    """The conversion of a config whose layers are those of Llama, under any name."""
    config = decoder.config
    config.must_be("hidden_act", "silu", "swish")
    config.must_be("rope_interleaved", False)
    rope = RopeConfig(config, 10_000.0)
    decoder.rope(rope, rope.rotated_dims(decoder.head_dim))
    biased, mlp_biased = config.flag("attention_bias", False), config.flag("mlp_bias", False)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=True, bias=biased, output_bias=biased)
        decoder.feed_forward(layer, bias=mlp_biased)
    decoder.head()
    return decoder.conversion()
