"""Granite 3 and 4, dense: a Llama with multipliers (maximal update parametrisation)."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


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
        score_scale=given.number("attention.scale", 0.0, zero=True) or None,
        embedding_scale=given.number("embedding_scale", 0.0, zero=True) or 1.0,
        residual_scale=given.number("residual_scale", 0.0, zero=True) or 1.0,
        logit_scale=1.0 / given.number("logit_scale"),
    )
