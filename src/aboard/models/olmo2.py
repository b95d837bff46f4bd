"""OLMo 2 (arXiv:2501.00656) and OLMo 3: norms stand after the blocks, not before them.

Queries and keys are normed, all heads together. OLMo 3 has windows in three of four layers, whose
rope is never stretched.
"""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("olmo2", metadata, tensor_names)
    rope = file.rope("halves")
    near = file.near_rope(rope, rope.base)
    return file.model(
        Layer(
            attention=file.attention(
                i,
                rope=near if window else rope,
                window=window,
                norm=False,
                post_norm=True,
                head_norms="all",
            ),
            feed_forward=file.feed_forward(i, norm=False, post_norm=True),
        )
        for i, window in enumerate(file.windows(period=4))
    )
