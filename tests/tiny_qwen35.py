"""What is Qwen3.5's own among tiny models: names, layers of two kinds, and how GGUF orders heads.

The shapes of delta nets tell the entries `ssm.*`; every `full_attention_interval`th layer has
attention.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def layer_shapes(
    own: Mapping[str, Any],
    layer: int,
    *,
    width: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    ffn: int,
) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer, by the names of transformers."""
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
    }
    period = own["full_attention_interval"]
    if layer % period == period - 1:
        shapes |= {
            "self_attn.q_proj.weight": (2 * heads * head_dim, width),
            "self_attn.k_proj.weight": (kv_heads * head_dim, width),
            "self_attn.v_proj.weight": (kv_heads * head_dim, width),
            "self_attn.o_proj.weight": (width, heads * head_dim),
            "self_attn.q_norm.weight": (head_dim,),
            "self_attn.k_norm.weight": (head_dim,),
        }
    else:
        d, values, inner = own["ssm.state_size"], own["ssm.time_step_rank"], own["ssm.inner_size"]
        mixed = 2 * own["ssm.group_count"] * d + inner
        shapes |= {
            "linear_attn.dt_bias": (values,),
            "linear_attn.A_log": (values,),
            "linear_attn.conv1d.weight": (mixed, 1, own["ssm.conv_kernel"]),
            "linear_attn.norm.weight": (d,),
            "linear_attn.out_proj.weight": (width, inner),
            "linear_attn.in_proj_qkv.weight": (mixed, width),
            "linear_attn.in_proj_z.weight": (inner, width),
            "linear_attn.in_proj_b.weight": (values, width),
            "linear_attn.in_proj_a.weight": (values, width),
        }
    return shapes | {
        "mlp.gate_proj.weight": (ffn, width),
        "mlp.up_proj.weight": (ffn, width),
        "mlp.down_proj.weight": (width, ffn),
    }


def in_gguf(own: Mapping[str, Any], name: str, values: np.ndarray) -> np.ndarray:
    """The values of a tensor as llama.cpp's converter stores them."""
    short = name.removesuffix(".weight").rsplit(".", 1)[-1]
    if short.endswith("norm") and not name.endswith("linear_attn.norm.weight"):
        return values + np.float32(1.0)
    if "linear_attn" not in name or short == "norm":
        return values
    d, keys = own["ssm.state_size"], own["ssm.group_count"]
    if short == "A_log":
        values = -np.exp(values)
    values = values.squeeze(1) if values.ndim == 3 else values
    if short == "out_proj":
        return _tiled(values.T, 0, d, keys).T.copy()
    first = 2 * keys * d if short in ("in_proj_qkv", "conv1d") else 0
    size = d if short in ("in_proj_qkv", "conv1d", "in_proj_z") else 1
    return _tiled(values, first, size, keys)


def _tiled(values: np.ndarray, first: int, size: int, keys: int) -> np.ndarray:
    """Heads of `size` rows from `first` on: those of a key together -> one of each key in turn."""
    n = (len(values) - first) // size
    order = [(i % keys) * (n // keys) + i // keys for i in range(n)]
    heads = values[first:].reshape(n, size, -1)[order].reshape(values[first:].shape)
    return np.concatenate([values[:first], heads])


NAMES = {
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.conv1d.weight": "ssm_conv1d.weight",
    "linear_attn.norm.weight": "ssm_norm.weight",
    "linear_attn.out_proj.weight": "ssm_out.weight",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight",
    "linear_attn.in_proj_z.weight": "attn_gate.weight",
    "linear_attn.in_proj_b.weight": "ssm_beta.weight",
    "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
}
