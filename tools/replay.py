"""Writes a model as the flat file that native/replay reads: raw tensors, hyper-parameters, tokens.

Numbers are 64-bit little-endian; texts and arrays are preceded by their length.
"""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aboard import formats
from aboard.checkpoint.gguf import GgufFile, open_gguf
from aboard.models import DecoderModel, describe_model


def write_flat(
    model_path: Path, tokens: Sequence[int], chunk: int, out: Path, kv: str = "f16"
) -> None:
    """The model at `model_path` and `tokens`, to be processed `chunk` at a time, in `out`."""
    with open_gguf(model_path) as source, out.open("wb") as file:
        model = describe_model(source.metadata, frozenset(source.tensors))
        _shape(file, model, source)
        _array(file, np.asarray(tokens, "<i4"))
        _sizes(file, chunk)
        _text(file, kv)
        matrices = list(model.matrices())
        _sizes(file, len(matrices))
        for weight in matrices:
            info = source.tensors[weight.name]
            _text(file, info.name)
            _text(file, info.format)
            _sizes(file, *info.shape)
            _array(file, source.read(info.name))
        _text(file, model.embedding.name)
        _text(file, model.head.name)
        _array(file, _vector(source, model.final_norm.name))
        _sizes(file, len(model.layers))
        for layer in model.layers:
            attention, feed_forward = layer.attention, layer.feed_forward
            _array(file, _vector(source, attention.norm.name))
            for weight in (attention.query, attention.key, attention.value, attention.output):
                _text(file, weight.name)
            _array(file, _vector(source, feed_forward.norm.name))
            for weight in (feed_forward.gate, feed_forward.up, feed_forward.down):
                _text(file, weight.name)


def _shape(file: BinaryIO, model: DecoderModel, source: GgufFile) -> None:
    _sizes(file, model.width, model.n_query_heads, model.n_kv_heads, model.head_dim)
    _sizes(file, model.ffn_width, model.n_vocabulary)
    file.write(struct.pack("<ff", model.norm_eps, 1.0 / math.sqrt(model.head_dim)))
    rope = model.rope
    _sizes(file, ["adjacent", "halves"].index(rope.pairs))
    file.write(struct.pack("<dd", rope.base, rope.scale))
    _sizes(file, rope.rotated_dims)
    divisors = [] if rope.divisors is None else _vector(source, rope.divisors.name)
    _array(file, np.asarray(divisors, "<f8"))


def _vector(source: GgufFile, name: str) -> np.ndarray:
    form = formats.by_name(source.tensors[name].format)
    return form.decode(source.read(name).reshape(-1, form.BLOCK_BYTES)).reshape(-1).astype("<f4")


def _sizes(file: BinaryIO, *values: int) -> None:
    file.write(struct.pack(f"<{len(values)}Q", *values))


def _array(file: BinaryIO, values: np.ndarray) -> None:
    _sizes(file, values.size)
    file.write(values.tobytes())


def _text(file: BinaryIO, text: str) -> None:
    _array(file, np.frombuffer(text.encode(), np.uint8))
