"""Ministral 3: a Llama with YaRN, whose queries grow with their distance from the beginning."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer, Temperature
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("mistral3", metadata, tensor_names)
    given = file.given
    rope = file.rope("adjacent")
    # Not a key of llama.cpp's: transformers knows a window of all layers, and this is its name.
    window = given.integer("attention.sliding_window", 0, low=0)
    strength = given.number("attention.temperature_scale", 0.0, zero=True)
    temperature = None
    if strength:
        context = given.integer("rope.scaling.original_context_length")
        temperature = Temperature(strength=strength, context=context)
    return file.model(
        (
            Layer(
                attention=file.attention(i, rope=rope, window=window),
                feed_forward=file.feed_forward(i),
            )
            for i in range(file.n_layers)
        ),
        temperature=temperature,
    )
