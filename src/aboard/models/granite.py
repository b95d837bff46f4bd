"""Granite 3 and 4, dense: a Llama with multipliers (maximal update parametrisation)."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models import llama
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile

_MULTIPLIERS = {
    "attention_multiplier": "attention.scale",
    "embedding_multiplier": "embedding_scale",
    "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
}


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("granite", metadata, tensor_names)
    given = file.given
    given.must_be("rope.scaling.finetuned", True)  # false: without positions
    rope = file.rope("adjacent")
    return file.model(
        (
            Layer(attention=file.attention(i, rope=rope), feed_forward=file.feed_forward(i))
            for i in range(file.n_layers)
        ),
        score_scale=given.number("attention.scale", 0.0, zero=True),
        embedding_scale=given.number("embedding_scale", 0.0, zero=True) or 1.0,
        residual_scale=given.number("residual_scale", 0.0, zero=True) or 1.0,
        logit_scale=1.0 / given.number("logit_scale"),
    )


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=11_008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=2048,
        rms_norm_eps=1e-6,
    )
    decoder = DecoderConfig("granite", config)
    for name, stored in _MULTIPLIERS.items():
        decoder.set(stored, config.number(name, 1.0))
    return llama.converted(decoder)
