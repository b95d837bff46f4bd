"""Writes an encoder as the flat file that native/replay reads: raw tensors, shapes, texts."""

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from flat import read_values, write_array, write_matrices, write_sizes, write_text

from aboard.checkpoint.gguf import GgufFile, open_gguf
from aboard.models import EncoderModel, describe_model
from aboard.models.decoder import Linear
from aboard.models.encoder import LayerNorm


def write_flat_encoder(
    model_path: Path, texts: Sequence[Sequence[int]], out: Path, *, floats: bool
) -> None:
    """The model at `model_path` and `texts` in `out`; `floats`: activations stay float32."""
    with open_gguf(model_path) as source, out.open("wb") as file:
        model = describe_model(source.metadata, frozenset(source.tensors))
        assert isinstance(model, EncoderModel)
        write_sizes(file, model.width, model.n_heads, model.ffn_width, model.n_vocabulary)
        write_sizes(file, model.positions.shape[0])
        file.write(struct.pack("<ff", model.norm_eps, 1.0 / math.sqrt(model.head_dim)))
        write_sizes(file, ["mean", "first"].index(model.pooling), floats)
        write_array(file, np.concatenate([np.asarray(text, "<i4") for text in texts]))
        write_array(file, np.array([len(text) for text in texts], "<u8"))
        write_matrices(file, source, model.matrices())
        write_text(file, model.embedding.label)
        write_text(file, model.positions.label)
        types = model.token_types
        first = read_values(source, types.name)[: model.width] if types else np.empty(0, "<f4")
        write_array(file, first)
        _norm(file, source, model.norm)
        write_sizes(file, len(model.layers))
        for layer in model.layers:
            for part in (layer.query, layer.key, layer.value, layer.output, layer.up, layer.down):
                _linear(file, source, part)
            _norm(file, source, layer.attention_norm)
            _norm(file, source, layer.output_norm)


def _linear(file: BinaryIO, source: GgufFile, linear: Linear) -> None:
    write_text(file, linear.weight.label)
    bias = linear.bias
    write_array(file, np.empty(0, "<f4") if bias is None else read_values(source, bias.name))


def _norm(file: BinaryIO, source: GgufFile, norm: LayerNorm) -> None:
    write_array(file, read_values(source, norm.weight.name))
    write_array(file, read_values(source, norm.bias.name))
