"""Puts the native encoder together: hyper-parameters and packed weights, layer by layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aboard.engine.assembly import vector_of
from aboard.engine.weights import Weights
from aboard.models import EncoderModel

if TYPE_CHECKING:
    from aboard._native import Encoder


def build_encoder(
    config: EncoderModel, weights: Weights, threads: int, *, floats: bool = False
) -> Encoder:
    """The native encoder over packed `weights`; `floats`: activations stay float32."""
    from aboard import _native

    matrices, vectors = weights.matrices, weights.vectors
    types = config.token_types
    encoder = _native.Encoder(
        embedding=matrices[config.embedding.label],
        positions=matrices[config.positions.label],
        type=None if types is None else matrices[types.label].row(0),
        norm=vectors[config.norm.weight.name],
        norm_bias=vectors[config.norm.bias.name],
        heads=config.n_heads,
        ffn_width=config.ffn_width,
        norm_eps=config.norm_eps,
        score_scale=1.0 / math.sqrt(config.head_dim),
        pooling=config.pooling,
        threads=threads,
        floats=floats,
    )
    for layer in config.layers:
        encoder.add_layer(
            query=matrices[layer.query.weight.label],
            key=matrices[layer.key.weight.label],
            value=matrices[layer.value.weight.label],
            output=matrices[layer.output.weight.label],
            query_bias=vector_of(weights, layer.query.bias),
            key_bias=vector_of(weights, layer.key.bias),
            value_bias=vector_of(weights, layer.value.bias),
            output_bias=vector_of(weights, layer.output.bias),
            attention_norm=vectors[layer.attention_norm.weight.name],
            attention_norm_bias=vectors[layer.attention_norm.bias.name],
            up=matrices[layer.up.weight.label],
            down=matrices[layer.down.weight.label],
            up_bias=vector_of(weights, layer.up.bias),
            down_bias=vector_of(weights, layer.down.bias),
            output_norm=vectors[layer.output_norm.weight.name],
            output_norm_bias=vectors[layer.output_norm.bias.name],
        )
    return encoder
