"""Qwen3.5, text, dense: delta nets (arXiv:2412.06464), every fourth layer gated attention."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_file import DecoderFile


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("qwen35", metadata, tensor_names)
    # Layers that guess several tokens ahead: nothing comes of them without speculation.
    ahead = file.leave_out_last_layers(file.given.integer("nextn_predict_layers", 0, low=0))
    # Of images' positions; those of a text are the same in every section.
    file.given.ignore("rope.dimension_sections")
    rope = file.rope("halves")
    period = file.given.integer("full_attention_interval", 4)
    layers = []
    for i in range(file.n_layers):
        feed_forward = file.feed_forward(i, norm_name="post_attention_norm")
        if i % period == period - 1:
            attention = file.attention(i, rope=rope, head_norms="each", gated=True)
            layers.append(Layer(attention=attention, feed_forward=feed_forward))
        else:
            layers.append(Layer(delta_net=file.delta_net(i), feed_forward=feed_forward))
    return file.model(layers, unused=ahead)
