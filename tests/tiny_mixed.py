"""Tiny models that are close to a reference: its weights, mixed with some of another."""

from pathlib import Path

import numpy as np

from tiny import Llama, gguf_tensors, llama_weights, model_metadata, tokenizer_metadata
from tiny_gguf import write_gguf

SHARES = (0.01, 0.1, 0.5)


def mixed_weights(share: float) -> dict[str, np.ndarray]:
    """The weights of seed 0 with a `share` of those of seed 1, in float32."""
    first, second = llama_weights(Llama(), 0), llama_weights(Llama(), 1)
    kept = np.float32(1 - share)
    return {
        name: values * kept + second[name] * np.float32(share) for name, values in first.items()
    }


def mixed(path: Path, share: float, *, surer: float = 1.0, **metadata: object) -> Path:
    """The file of such a model; `metadata` adds or replaces entries, dots written as __.

    `surer` multiplies its logits.
    """
    model = Llama()
    weights = mixed_weights(share)
    weights["lm_head.weight"] = weights["lm_head.weight"] * np.float32(surer)
    tensors = gguf_tensors(model, weights)
    more = {key.replace("__", "."): value for key, value in metadata.items()}
    return write_gguf(path, {**model_metadata(model), **tokenizer_metadata(), **more}, tensors)
