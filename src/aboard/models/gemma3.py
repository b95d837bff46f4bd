"""Gemma 3 (arXiv:2503.19786), text: five of six layers have a window and a rope of their own.

Each head of queries and keys is normed. Converters to GGUF write norms with the 1 that Gemma adds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile
from aboard.models.gemma2 import score_scale

LAYERS_OF_27B = 62


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("gemma3", metadata, tensor_names)
    given = file.given
    rope = file.rope("halves", base=1_000_000.0)
    near = file.near_rope(rope, 10_000.0)
    return file.model(
        (
            Layer(
                attention=file.attention(
                    i,
                    rope=near if window else rope,
                    window=window,
                    post_norm=True,
                    head_norms="each",
                ),
                feed_forward=file.feed_forward(i, post_norm=True, function="gelu"),
            )
            for i, window in enumerate(file.windows(period=6))
        ),
        score_scale=score_scale(file, layers_of_27b=LAYERS_OF_27B),
        logit_cap=given.number("final_logit_softcapping", 0.0, zero=True),
        embedding_scale=given.number("embedding_scale", math.sqrt(file.width)),
    )
