"""Writes a decoder as the flat file that native/replay reads: raw tensors, shapes, tokens."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from flat import read_values as _values
from flat import write_array as _array
from flat import write_matrices
from flat import write_sizes as _sizes
from flat import write_text as _text

from aboard.checkpoint.gguf import open_gguf
from aboard.engine.rope import rope_frequencies, rope_growth
from aboard.models import DecoderModel, describe_model
from aboard.models.decoder import Layer, LayerEmbedding, Linear, Rope, Temperature, Weight

_FUNCTIONS = ("silu", "gelu")


def write_flat(
    model_path: Path, tokens: Sequence[int], chunk: int, out: Path, kv: str = "f16"
) -> None:
    """The model at `model_path` and `tokens`, to be processed `chunk` at a time, in `out`."""
    with open_gguf(model_path) as source, out.open("wb") as file:
        model = describe_model(source.metadata, frozenset(source.tensors))
        vectors = {weight.name: _values(source, weight.name) for weight in model.vectors()}
        _shape(file, model)
        _ropes(file, model, vectors, len(tokens))
        _array(file, np.asarray(tokens, "<i4"))
        _sizes(file, chunk)
        _text(file, kv)
        write_matrices(file, source, model.matrices())
        _text(file, model.embedding.label)
        _text(file, model.head.label)
        _array(file, vectors[model.final_norm.name])
        _sizes(file, len(model.layers))
        for layer in model.layers:
            _layer(file, layer, vectors, model.ropes)
        _layer_embedding(file, model.layer_embedding, vectors)


def _shape(file: BinaryIO, model: DecoderModel) -> None:
    _sizes(file, model.width, model.n_query_heads, model.n_vocabulary)
    file.write(struct.pack("<fff", model.norm_eps, model.score_scale, model.score_cap))
    file.write(struct.pack("<ff", model.embedding_scale, model.residual_scale))
    file.write(struct.pack("<ff", model.logit_scale, model.logit_cap))
    temperature = model.temperature or Temperature(strength=0.0, context=1)
    file.write(struct.pack("<d", temperature.strength))
    _sizes(file, temperature.context)


def _ropes(
    file: BinaryIO, model: DecoderModel, vectors: Mapping[str, np.ndarray], context: int
) -> None:
    _sizes(file, len(model.ropes))
    for rope in model.ropes:
        _sizes(file, ["adjacent", "halves"].index(rope.pairs))
        frequencies = rope_frequencies(rope, vectors, context, model.context_length)
        _array(file, np.asarray(frequencies, "<f8"))
        file.write(struct.pack("<d", rope_growth(rope)))


def _layer(
    file: BinaryIO, layer: Layer, vectors: Mapping[str, np.ndarray], ropes: Sequence[Rope]
) -> None:
    def vector(weight: Weight | None) -> None:
        _array(file, np.empty(0, "<f4") if weight is None else vectors[weight.name])

    def linear(linear: Linear | None) -> None:
        _text(file, "" if linear is None else linear.weight.label)
        vector(None if linear is None else linear.bias)

    attention, conv, feed_forward = layer.attention, layer.short_conv, layer.feed_forward
    delta = layer.delta_net
    _sizes(file, 0 if attention is not None else 1 if conv is not None else 2)
    if delta is not None:
        for matrix in (delta.mixed, delta.gate, delta.alpha, delta.beta, delta.output):
            linear(Linear(matrix))
        vector(delta.norm)
        _array(file, vectors[delta.taps.name].reshape(delta.taps.shape).T.copy())
        for weight in (delta.decay, delta.time_step, delta.head_norm):
            vector(weight)
        _sizes(file, delta.n_key_heads)
    if conv is not None:
        for matrix in (conv.in_gate, conv.out_gate, conv.input, conv.output):
            linear(Linear(matrix))
        vector(conv.norm)
        _array(file, vectors[conv.taps.name].reshape(conv.taps.shape).T.copy())
    if attention is not None:
        # 0 for none, so that all are sizes.
        keys_of = 0 if attention.keys_of is None else 1 + attention.keys_of
        _sizes(file, attention.n_kv_heads, attention.head_dim, keys_of)
        for part in (attention.query, attention.key, attention.value, attention.output):
            linear(part)
        for norm in (attention.norm, attention.post_norm, attention.query_norm, attention.key_norm):
            vector(norm)
        ones = attention.head_dim if attention.norm_values else 0
        _array(file, np.ones(ones, "<f4"))
        rope = 0 if attention.rope is None else 1 + ropes.index(attention.rope)
        _sizes(file, attention.gated, attention.window, rope)
    for part in (feed_forward.gate, feed_forward.up, feed_forward.down):
        linear(part)
    vector(feed_forward.norm)
    vector(feed_forward.post_norm)
    _sizes(file, _FUNCTIONS.index(feed_forward.function))
    scale = 1.0 if layer.scale is None else float(vectors[layer.scale.name][0])
    file.write(struct.pack("<f", scale))
    token = layer.token
    _sizes(file, token is not None)
    if token is not None:
        linear(Linear(token.gate))
        linear(Linear(token.output))
        vector(token.post_norm)
        _sizes(file, _FUNCTIONS.index(token.function))


def _layer_embedding(
    file: BinaryIO, layers: LayerEmbedding | None, vectors: Mapping[str, np.ndarray]
) -> None:
    _sizes(file, layers is not None)
    if layers is None:
        return
    _text(file, layers.table.label)
    _text(file, layers.projection.label)
    _array(file, np.empty(0, "<f4"))  # no bias
    _array(file, vectors[layers.norm.name])
    scales = (layers.table_scale, layers.projection_scale, layers.sum_scale)
    file.write(struct.pack("<fff", *scales))
