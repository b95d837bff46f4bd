"""Gemma 2 (arXiv:2408.00118): soft caps, norms around each block, every other layer with a window.

Converters to GGUF write norms with the 1 that Gemma adds to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("gemma2", metadata, tensor_names)
    given = file.given
    rope = file.rope("halves")
    near = file.near_rope(rope, rope.base)
    return file.model(
        (
            Layer(
                attention=file.attention(
                    i, rope=near if window else rope, window=window, post_norm=True
                ),
                feed_forward=file.feed_forward(i, post_norm=True, function="gelu"),
            )
            for i, window in enumerate(file.windows(period=2, default=4096))
        ),
        score_scale=score_scale(file, layers_of_27b=46),
        score_cap=given.number("attn_logit_softcapping", 50.0, zero=True),
        logit_cap=given.number("final_logit_softcapping", 30.0, zero=True),
        embedding_scale=embedding_scale(file),
    )


def embedding_scale(file: DecoderFile) -> float:
    """sqrt(width), as llama.cpp takes it; transformers rounds it as the checkpoint's weights are.

    A file may say so in `embedding_scale`, which llama.cpp doesn't read.
    """
    return file.given.number("embedding_scale", math.sqrt(file.width))


def score_scale(file: DecoderFile, *, layers_of_27b: int) -> float:
    """1 / sqrt(head size); the largest Gemma takes width / heads instead, and no entry says so."""
    of = file.width // file.n_query_heads if file.n_layers == layers_of_27b else file.head_dim
    return file.given.number("attention.scale", 1.0 / math.sqrt(of))
