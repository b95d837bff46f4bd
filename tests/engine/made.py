"""Tiny model files with one thing changed: metadata, tensors, or the order of either."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tiny import Llama, gguf_tensors, llama_weights, model_metadata, tokenizer_metadata
from tiny_gguf import Tensor, float32_tensor, write_gguf

Tensors = dict[str, Tensor]
SMALL = Llama(layers=1, width=32, heads=2, kv_heads=1, ffn=48, context=64)


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
