"""Qwen2 and Qwen2.5 (arXiv:2412.15115): queries, keys and values have biases."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.full_attention import refuse_windows
from aboard.models.rope_config import RopeConfig


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


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(num_key_value_heads=32, rms_norm_eps=1e-6, max_position_embeddings=32768)
    decoder = DecoderConfig("qwen2", config)
    config.must_be("use_mrope", False)
    read_common(decoder)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=False, bias=True)
        decoder.feed_forward(layer)
    decoder.head()
    return decoder.conversion()


def read_common(decoder: DecoderConfig) -> None:
    """Read and store what the configs of Qwen2 and Qwen3 have in common.

    Raises
    ------
    UnsupportedFile
        Layers have a window, which GGUF has no word for.
    ConfigError
        A member is not understood.
    """
    config = decoder.config
    config.must_be("hidden_act", "silu", "swish")
    first = config.integer("max_window_layers", 28, low=0)
    refuse_windows(config, default=(i >= first for i in range(decoder.n_layers)), window=4096)
    rope = RopeConfig(config, 10_000.0)
    decoder.rope(rope, rope.rotated_dims(decoder.head_dim), ("default", "linear", "yarn"))
