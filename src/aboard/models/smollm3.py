"""SmolLM3: a Llama whose every fourth layer knows no positions (NoPE, arXiv:2501.18795)."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.full_attention import refuse_windows
from aboard.models.rope_config import RopeConfig


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("smollm3", metadata, tensor_names)
    rope = file.rope("adjacent")
    return file.model(
        Layer(
            attention=file.attention(i, rope=rope if _has_rope(i) else None),
            feed_forward=file.feed_forward(i),
        )
        for i in range(file.n_layers)
    )


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(num_key_value_heads=4, rms_norm_eps=1e-6, max_position_embeddings=32768)
    config.assume(tie_word_embeddings=True)
    decoder = DecoderConfig("smollm3", config)
    config.must_be("hidden_act", "silu", "swish")
    config.ignore("max_window_layers")  # of Qwen's, without use here
    roped = _roped_layers(config, decoder.n_layers)
    refuse_windows(config, default=(not each for each in roped), window=None)
    rope = RopeConfig(config, 2_000_000.0)
    decoder.rope(rope, rope.rotated_dims(decoder.head_dim), ("default", "linear", "yarn"))
    biased, mlp_biased = config.flag("attention_bias", False), config.flag("mlp_bias", False)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=True, bias=biased, output_bias=biased)
        decoder.feed_forward(layer, bias=mlp_biased)
    decoder.head()
    return decoder.conversion()


def _has_rope(layer: int) -> bool:
    return layer % 4 < 3


def _roped_layers(config: Config, n_layers: int) -> list[bool]:
    """Which layers have a rope, if they are those that GGUF's `smollm3` has it in."""
    period = config.integer("no_rope_layer_interval", 4)
    found = config.pattern("no_rope_layers", n_layers, period)  # whose zeros are the layers without
    for layer, roped in enumerate(found):
        if roped != _has_rope(layer):
            raise UnsupportedFile(
                f"{config.where}: layer {layer} has {'a' if roped else 'no'} rope; in GGUF's "
                "smollm3 every fourth layer has none, and it has no word for others"
            )
    return list(found)
