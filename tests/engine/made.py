"""Tiny model files with one thing changed, and tiny models whose layers aren't all attention."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tiny import Llama, gguf_tensors, llama_weights, model_metadata, tokenizer_metadata
from tiny_families import Tiny
from tiny_gguf import Tensor, float32_tensor, write_gguf

Tensors = dict[str, Tensor]
SMALL = Llama(layers=1, width=32, heads=2, kv_heads=1, ffn=48, context=64)


def convolutions(taps: int) -> Tiny:
    """Short convolutions of so many taps around one layer of attention."""
    own = {
        "shortconv.l_cache": taps,
        "attention.head_count_kv": np.array([0, 1, 0], np.int32),
    }
    return Tiny("lfm2", layers=3, width=72, heads=3, kv_heads=1, head_dim=24, ffn=100, own=own)


DELTA_NETS = Tiny(
    "qwen35",
    layers=3,
    width=72,
    heads=3,
    kv_heads=1,
    head_dim=24,
    ffn=100,
    own={
        "rope.dimension_count": 6,
        "full_attention_interval": 2,
        "ssm.conv_kernel": 4,
        "ssm.state_size": 20,
        "ssm.group_count": 2,
        "ssm.time_step_rank": 4,
        "ssm.inner_size": 80,
    },
)


def made(
    path: Path,
    model: Llama = SMALL,
    *,
    metadata: Mapping[str, object] = {},
    change: Callable[[Tensors], object] = lambda tensors: None,
) -> Path:
    """A model file; `metadata` replaces entries (None: leaves out), `change` edits the tensors."""
    entries = {**model_metadata(model), **tokenizer_metadata(model.vocabulary), **metadata}
    tensors = gguf_tensors(model, llama_weights(model, seed=0))
    change(tensors)
    return write_gguf(path, {k: v for k, v in entries.items() if v is not None}, tensors)


def without(*names: str) -> Callable[[Tensors], object]:
    """A change: these tensors are missing."""
    return lambda tensors: [tensors.pop(name) for name in names]


def with_tensor(name: str, tensor: Tensor) -> Callable[[Tensors], object]:
    """A change: this tensor is there, or is another."""
    return lambda tensors: tensors.update({name: tensor})


def ones(*shape: int) -> Tensor:
    """An F32 tensor of ones."""
    return float32_tensor(np.ones(shape, np.float32))


def with_value(name: str, at: tuple[int, ...], value: float) -> Callable[[Tensors], object]:
    """A change: one value of an F32 tensor is another."""

    def change(tensors: Tensors) -> None:
        values = np.frombuffer(tensors[name].data, "<f4").reshape(tensors[name].shape).copy()
        values[at] = value
        tensors[name] = float32_tensor(values)

    return change
