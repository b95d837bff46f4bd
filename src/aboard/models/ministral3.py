"""Ministral 3: a Llama with YaRN, whose queries grow with their distance from the beginning.

In GGUF it is a `mistral3`.
"""

from __future__ import annotations

from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder_config import DecoderConfig
from aboard.models.mistral import read_window
from aboard.models.rope_config import RopeConfig

_ROPE = {  # what transformers takes where a config has no rope at all
    "rope_type": "yarn",
    "rope_theta": 1_000_000.0,
    "factor": 16.0,
    "original_max_position_embeddings": 16_384,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale_all_dim": 1.0,
    "mscale": 1.0,
    "llama_4_scaling_beta": 0.1,
}


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(num_key_value_heads=8, head_dim=128, rms_norm_eps=1e-5)
    config.assume(max_position_embeddings=262_144)
    decoder = DecoderConfig("mistral3", config)
    config.must_be("hidden_act", "silu", "swish")
    if (window := read_window(config)) is not None:
        decoder.set("attention.sliding_window", window)
    told = config.has("rope_scaling") or config.has("rope_parameters")
    rope = RopeConfig(config, 10_000.0, own=None if told else Config(_ROPE, config.where))
    strength = rope.scaling.number("llama_4_scaling_beta", zero=True)
    if strength:
        decoder.set("attention.temperature_scale", strength)
    rope.scaling.ignore("max_position_embeddings")  # told twice; transformers reads the outer one
    decoder.rope(rope, rope.rotated_dims(decoder.head_dim), ("yarn",))
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=True)
        decoder.feed_forward(layer)
    decoder.head()
    return decoder.conversion()
