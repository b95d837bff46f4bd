"""Qwen3 (arXiv:2505.09388), its dense models: each head of queries and keys is normed."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.qwen2 import read_common


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


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(num_key_value_heads=32, head_dim=128, rms_norm_eps=1e-6)
    config.assume(max_position_embeddings=32768)
    decoder = DecoderConfig("qwen3", config)
    biased = config.flag("attention_bias", False)
    read_common(decoder)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(
            layer, adjacent_pairs=False, bias=biased, output_bias=biased, head_norms=True
        )
        decoder.feed_forward(layer)
    decoder.head()
    return decoder.conversion()
