"""Tiny models of every decoder family, as GGUF files, the same for a seed on every machine.

>>> from tiny_families import Tiny, tiny_model
>>> path = tiny_model(tmp_path / "tiny.gguf", Tiny("qwen3", heads=4, kv_heads=2))

`random_weights` gives the weights with the names of transformers, for oracles; `gguf_tensors` turns
them into what llama.cpp's converter writes. The tokenizer is that of `tiny.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tiny_gemma4
import tiny_lfm2
import tiny_qwen35
from tiny import tokenizer_metadata
from tiny_blocks import Random, random_tensor
from tiny_gguf import Tensor, float32_tensor, write_gguf

# Families whose queries and keys converters reorder: neighbours are rotated together.
ADJACENT = {"llama", "smollm3", "granite", "mistral3"}
GEMMAS = {"gemma2", "gemma3"}
# Those that have norms around a block.
AROUND = {*GEMMAS, "gemma4", "olmo2"}
_TAPS = ("shortconv.conv", "ssm_conv1d")


@dataclass(frozen=True)
class Tiny:
    """The shape of a tiny model, and what is its own: GGUF entries without their prefix.

    `biases`: of queries, keys and values, of the output, and of the feed-forward block.
    """

    family: str
    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    ffn: int = 96
    vocabulary: int = 259
    tied: bool = False
    context: int = 1024
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    biases: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def tiny_model(path: Path, model: Tiny, *, fmt: str = "F32", seed: int = 0) -> Path:
    """A GGUF file at `path` with random weights; matrices are of format `fmt`, vectors F32."""
    tensors = gguf_tensors(model, random_weights(model, seed))
    random = Random(seed + 1_000_003)
    for name, tensor in tensors.items():
        if len(tensor.shape) == 2 and fmt != "F32" and not any(each in name for each in _TAPS):
            std = 1.0 if name == "token_embd.weight" else 0.8 / tensor.shape[1] ** 0.5
            tensors[name] = random_tensor(fmt, *tensor.shape, std, random)
    return write_gguf(path, {**metadata(model), **tokenizer_metadata(model.vocabulary)}, tensors)


def random_weights(model: Tiny, seed: int) -> dict[str, np.ndarray]:
    """Random float32 weights, (out, in), by the names that transformers gives them."""
    random = Random(seed)
    weights = {"model.embed_tokens.weight": random.weights(1.0, model.vocabulary, model.width)}
    for name, shape in _other_shapes(model).items():
        if len(shape) == 1:
            weights[name] = _norm(model, random, "norm", shape)
        else:
            std = 1.0 if "embed" in name else 1.0 / shape[1] ** 0.5
            weights[name] = random.weights(std, *shape)
    for layer in range(model.layers):
        for name, shape in _layer_shapes(model, layer).items():
            full = f"model.layers.{layer}.{name}"
            if name == "layer_scalar":
                weights[full] = random.uniform(0.6, 1.2, *shape)
            elif name.endswith((".bias", "dt_bias", "A_log")):
                weights[full] = random.weights(0.5, *shape)
            elif len(shape) == 1:
                weights[full] = _norm(model, random, name.split(".")[-2], shape)
            elif len(shape) == 3:
                weights[full] = random.weights(0.6, *shape)
            else:
                gain = 0.7 if name.split(".")[-2] in _OUTPUTS else 1.0
                weights[full] = random.weights(gain / shape[1] ** 0.5, *shape)
    last = "model.embedding_norm.weight" if model.family == "lfm2" else "model.norm.weight"
    weights[last] = _norm(model, random, "norm", (model.width,))
    if not model.tied:
        std = 1.0 / model.width**0.5
        weights["lm_head.weight"] = random.weights(std, model.vocabulary, model.width)
    return weights


def gguf_tensors(model: Tiny, weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The weights as llama.cpp's converter writes them: renamed, reordered, norms with plus one."""
    tensors = {}
    for name, values in weights.items():
        *_, short, kind = name.split(".")
        if model.family == "qwen35":
            values = tiny_qwen35.in_gguf(model.own, name, values)
        if model.family in GEMMAS and short.endswith("norm"):
            values = values + np.float32(1.0)
        if model.family in ADJACENT and short in ("q_proj", "k_proj"):
            halves = values.reshape(-1, 2, model.head_dim // 2, *values.shape[1:])
            values = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
        if values.ndim == 3:
            values = values.squeeze(1)
        tensors[_full_gguf_name(model, name, kind)] = float32_tensor(values)
    for name, entries in model.vectors.items():
        tensors[f"{name}.weight"] = float32_tensor(np.array(entries, np.float32))
    return tensors


def metadata(model: Tiny) -> dict[str, object]:
    """What the file says about the model."""
    entries: dict[str, object] = {
        "block_count": model.layers,
        "context_length": model.context,
        "embedding_length": model.width,
        "feed_forward_length": model.ffn,
        "attention.head_count": model.heads,
        "attention.head_count_kv": model.kv_heads,
        "attention.layer_norm_rms_epsilon": model.norm_epsilon,
        "attention.key_length": model.head_dim,
        "attention.value_length": model.head_dim,
        "rope.freq_base": model.rope_base,
        **model.own,
    }
    prefixed = {f"{model.family}.{key}": value for key, value in entries.items()}
    return {"general.architecture": model.family, "general.name": "tiny", **prefixed}


def tiny_from_json(fields: Mapping[str, Any]) -> Tiny:
    """The `Tiny` whose fields went through JSON as a dict."""
    own = {
        name: np.array(value, np.bool_ if isinstance(value[0], bool) else np.int32)
        if isinstance(value, list)
        else value
        for name, value in fields["own"].items()
    }
    vectors = {name: tuple(values) for name, values in fields["vectors"].items()}
    biases = tuple(fields["biases"])
    return Tiny(**{**fields, "own": own, "vectors": vectors, "biases": biases})


def _norm(model: Tiny, random: Random, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Around 1, which Gemma adds itself; small where a norm decides what OLMo's blocks add.

    As in trained models the embedding outweighs what the layers add: see `tiny.py`.
    """
    if model.family == "olmo2" and name.startswith("post_"):
        return random.uniform(0.1, 0.5, *shape)
    low, high = (-0.5, 0.5) if model.family in {*GEMMAS, "qwen35"} else (0.5, 1.5)
    return random.uniform(low, high, *shape)


def _other_shapes(model: Tiny) -> dict[str, tuple[int, ...]]:
    if model.family != "gemma4":
        return {}
    return tiny_gemma4.other_shapes(
        model.own, layers=model.layers, width=model.width, vocabulary=model.vocabulary
    )


def _layer_shapes(model: Tiny, layer: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer, by the names of transformers."""
    if model.family == "gemma4":
        return tiny_gemma4.layer_shapes(
            model.own,
            layer,
            layers=model.layers,
            width=model.width,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=model.head_dim,
            ffn=model.ffn,
        )
    if model.family == "qwen35":
        return tiny_qwen35.layer_shapes(
            model.own,
            layer,
            width=model.width,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=model.head_dim,
            ffn=model.ffn,
        )
    if model.family == "lfm2":
        return tiny_lfm2.layer_shapes(
            attends=bool(model.own["attention.head_count_kv"][layer]),
            width=model.width,
            heads=model.heads,
            kv_heads=model.kv_heads,
            head_dim=model.head_dim,
            ffn=model.ffn,
            taps=model.own["shortconv.l_cache"],
        )
    width, rows = model.width, model.heads * model.head_dim
    kv_rows = model.kv_heads * model.head_dim
    shapes: dict[str, tuple[int, ...]] = {}
    if model.family != "olmo2":
        shapes["input_layernorm.weight"] = (width,)
    shapes["post_attention_layernorm.weight"] = (width,)
    if model.family in GEMMAS:
        shapes["pre_feedforward_layernorm.weight"] = (width,)
    if model.family in {*GEMMAS, "olmo2"}:
        shapes["post_feedforward_layernorm.weight"] = (width,)
    if model.family in ("qwen3", "gemma3"):
        shapes |= {"self_attn.q_norm.weight": (model.head_dim,)}
        shapes |= {"self_attn.k_norm.weight": (model.head_dim,)}
    if model.family == "olmo2":
        shapes |= {"self_attn.q_norm.weight": (rows,), "self_attn.k_norm.weight": (kv_rows,)}
    if model.family == "phi3":
        matrices = {"self_attn.qkv_proj": (rows + 2 * kv_rows, width)}
        ffn = {"mlp.gate_up_proj": (2 * model.ffn, width)}
    else:
        matrices = {"self_attn.q_proj": (rows, width), "self_attn.k_proj": (kv_rows, width)}
        matrices["self_attn.v_proj"] = (kv_rows, width)
        ffn = {"mlp.gate_proj": (model.ffn, width), "mlp.up_proj": (model.ffn, width)}
    ffn["mlp.down_proj"] = (width, model.ffn)
    output = {"self_attn.o_proj": (width, rows)}
    for kind, group in {"qkv": matrices, "output": output, "ffn": ffn}.items():
        for name, shape in group.items():
            shapes[f"{name}.weight"] = shape
            if kind in model.biases:
                shapes[f"{name}.bias"] = shape[:1]
    return shapes


_OUTPUTS = {"o_proj", "down_proj", "out_proj", "w2"}
_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
# Where norms stand around a block, the name of one of them means another place.
_AROUND = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def _full_gguf_name(model: Tiny, name: str, kind: str) -> str:
    if kind == "layer_scalar":
        return name.replace("model.layers", "blk").replace(kind, "layer_output_scale.weight")
    if model.family == "qwen35" and name.startswith("model.layers."):
        layer, own = name.removeprefix("model.layers.").split(".", 1)
        if own in tiny_qwen35.NAMES:
            return f"blk.{layer}.{tiny_qwen35.NAMES[own]}"
    return _gguf_name(model, name.removesuffix(f".{kind}")) + f".{kind}"


def _gguf_name(model: Tiny, name: str) -> str:
    names = {**_NAMES, **(_AROUND if model.family in AROUND else {})}
    if model.family == "lfm2":
        names |= tiny_lfm2.NAMES
    if model.family == "gemma4":
        names |= tiny_gemma4.NAMES
    if not name.startswith("model.layers."):
        return names[name]
    layer, short = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{names[short]}"
