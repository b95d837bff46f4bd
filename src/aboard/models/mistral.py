"""Mistral (arXiv:2310.06825): the layers of Llama, in its first version with a window.

Without a window it is a `llama` in GGUF, with one a `mistral3`, which is a Llama as well.
"""

from __future__ import annotations

from aboard.models import llama
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder_config import DecoderConfig


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    assume_defaults(config)
    windowed = read_window(config) is not None
    return converted("mistral3" if windowed else "llama", config)


def converted(architecture: str, config: Config) -> Conversion:
    """The conversion of a Mistral as a file of this architecture."""
    decoder = DecoderConfig(architecture, config)
    if (window := read_window(config)) is not None:
        decoder.set("attention.sliding_window", window)
    for bias in ("attention_bias", "mlp_bias"):
        config.must_be(bias, False)
    return llama.converted(decoder)


def assume_defaults(config: Config) -> None:
    """What transformers takes where a Mistral's config says nothing."""
    config.assume(num_key_value_heads=8, rms_norm_eps=1e-6, sliding_window=4096)
    config.assume(max_position_embeddings=131_072)


def read_window(config: Config) -> int | None:
    """How many tokens a token sees, itself included; None: all before it."""
    if not config.has("sliding_window"):
        return None
    window = config.integer("sliding_window")
    return window if window < config.integer("max_position_embeddings") else None
