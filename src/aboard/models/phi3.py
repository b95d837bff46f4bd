"""Phi-3 (arXiv:2404.14219) and Phi-4-mini: fused matrices, LongRoPE, a part of a head rotated."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("phi3", metadata, tensor_names)
    rope = file.rope("halves")
    # llama.cpp reads the window and sees everything; transformers keeps to it, and so do we.
    window = file.given.integer("attention.sliding_window", 0, low=0)
    return file.model(
        Layer(
            attention=file.attention(i, rope=rope, window=window),
            feed_forward=file.feed_forward(i, fused=True),
        )
        for i in range(file.n_layers)
    )
