"""Puts the native decoder together: hyper-parameters and packed weights, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from aboard.engine.rope import rope_frequencies, rope_growth
from aboard.engine.weights import Float32, Weights
from aboard.models.decoder import (
    Attention,
    DecoderModel,
    DeltaNet,
    GatedFeedForward,
    LayerEmbedding,
    Rope,
    ShortConv,
    TokenBlock,
    Weight,
)

if TYPE_CHECKING:
    from aboard._native import Decoder


def build_decoder(
    config: DecoderModel, weights: Weights, threads: int, kv: str = "f16", context: int = 1
) -> Decoder:
    """The native decoder over packed `weights`.

    `threads` compute; `kv` is how its caches store: "f16", "int8", or "f32", with which activations
    stay float32, too. `context`: tokens a session may hold.

    Raises
    ------
    ConfigError
        The rope's frequencies are no use over the model's context.
    """
    from aboard import _native

    temperature = config.temperature
    decoder = _native.Decoder(
        embedding=weights.matrices[config.embedding.label],
        final_norm=weights.vectors[config.final_norm.name],
        head=weights.matrices[config.head.label],
        query_heads=config.n_query_heads,
        norm_eps=config.norm_eps,
        score_scale=config.score_scale,
        score_cap=config.score_cap,
        embedding_scale=config.embedding_scale,
        residual_scale=config.residual_scale,
        logit_scale=config.logit_scale,
        logit_cap=config.logit_cap,
        temperature=(temperature.strength, temperature.context) if temperature else (0.0, 1),
        threads=threads,
        kv=kv,
    )
    indices = {
        rope: decoder.add_rope(
            pairs=rope.pairs,
            frequencies=rope_frequencies(rope, weights.vectors, context, config.context_length),
            factor=rope_growth(rope),
        )
        for rope in config.ropes
    }
    if config.layer_embedding is not None:
        _add_layer_embedding(decoder, config.layer_embedding, weights)
    for layer in config.layers:
        if layer.attention is not None:
            _add_attention(decoder, layer.attention, weights, indices)
        if layer.short_conv is not None:
            _add_short_conv(decoder, layer.short_conv, weights)
        if layer.delta_net is not None:
            _add_delta_net(decoder, layer.delta_net, weights)
        scale = 1.0 if layer.scale is None else float(weights.vectors[layer.scale.name][0])
        _add_feed_forward(decoder, layer.feed_forward, weights, scale)
        if layer.token is not None:
            _add_token_block(decoder, layer.token, weights)
    return decoder


def _add_attention(
    decoder: Decoder, block: Attention, weights: Weights, ropes: Mapping[Rope, int]
) -> None:
    matrices, key, value = weights.matrices, block.key, block.value
    decoder.add_attention(
        kv_heads=block.n_kv_heads,
        head_dim=block.head_dim,
        query=matrices[block.query.weight.label],
        key=None if key is None else matrices[key.weight.label],
        value=None if value is None else matrices[value.weight.label],
        output=matrices[block.output.weight.label],
        query_bias=vector_of(weights, block.query.bias),
        key_bias=None if key is None else vector_of(weights, key.bias),
        value_bias=None if value is None else vector_of(weights, value.bias),
        output_bias=vector_of(weights, block.output.bias),
        norm=vector_of(weights, block.norm),
        post_norm=vector_of(weights, block.post_norm),
        query_norm=vector_of(weights, block.query_norm),
        key_norm=vector_of(weights, block.key_norm),
        norm_values=block.norm_values,
        keys_of=block.keys_of,
        gated=block.gated,
        window=block.window,
        rope=None if block.rope is None else ropes[block.rope],
    )


def _add_short_conv(decoder: Decoder, block: ShortConv, weights: Weights) -> None:
    matrices = weights.matrices
    decoder.add_short_conv(
        in_gate=matrices[block.in_gate.label],
        out_gate=matrices[block.out_gate.label],
        input=matrices[block.input.label],
        taps=np.ascontiguousarray(weights.vectors[block.taps.name].T),
        output=matrices[block.output.label],
        norm=vector_of(weights, block.norm),
    )


def _add_delta_net(decoder: Decoder, block: DeltaNet, weights: Weights) -> None:
    matrices, vectors = weights.matrices, weights.vectors
    decoder.add_delta_net(
        mixed=matrices[block.mixed.label],
        gate=matrices[block.gate.label],
        alpha=matrices[block.alpha.label],
        beta=matrices[block.beta.label],
        taps=np.ascontiguousarray(vectors[block.taps.name].T),
        decay=vectors[block.decay.name],
        time_step=vectors[block.time_step.name],
        head_norm=vectors[block.head_norm.name],
        output=matrices[block.output.label],
        key_heads=block.n_key_heads,
        norm=vector_of(weights, block.norm),
    )


def _add_feed_forward(
    decoder: Decoder, block: GatedFeedForward, weights: Weights, scale: float
) -> None:
    matrices = weights.matrices
    decoder.add_feed_forward(
        gate=matrices[block.gate.weight.label],
        up=matrices[block.up.weight.label],
        down=matrices[block.down.weight.label],
        gate_bias=vector_of(weights, block.gate.bias),
        up_bias=vector_of(weights, block.up.bias),
        down_bias=vector_of(weights, block.down.bias),
        norm=vector_of(weights, block.norm),
        post_norm=vector_of(weights, block.post_norm),
        function=block.function,
        scale=scale,
    )


def _add_layer_embedding(decoder: Decoder, layers: LayerEmbedding, weights: Weights) -> None:
    decoder.add_layer_embedding(
        table=weights.matrices[layers.table.label],
        projection=weights.matrices[layers.projection.label],
        norm=weights.vectors[layers.norm.name],
        table_scale=layers.table_scale,
        projection_scale=layers.projection_scale,
        sum_scale=layers.sum_scale,
    )


def _add_token_block(decoder: Decoder, block: TokenBlock, weights: Weights) -> None:
    decoder.add_token_block(
        gate=weights.matrices[block.gate.label],
        output=weights.matrices[block.output.label],
        post_norm=vector_of(weights, block.post_norm),
        function=block.function,
    )


def vector_of(weights: Weights, vector: Weight | None) -> Float32 | None:
    """The values of `vector`, None where there is none."""
    return None if vector is None else weights.vectors[vector.name]
