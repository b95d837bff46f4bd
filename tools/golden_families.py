"""The models of tests/golden/families in transformers: one function a family.

Names and values of a config are those that transformers documents; nothing of it comes from this
project but the shapes and the weights.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from tiny_families import Tiny
from tiny_gemma4 import far_kv_heads, keys_are_values
from tiny_lfm2 import layer_types


def family_model(shape: Tiny, weights: Mapping[str, np.ndarray]) -> PreTrainedModel:
    """A float32 model of this shape that holds exactly these weights."""
    name, own = _CONFIGS[shape.family](shape)
    config = CONFIG_MAPPING[name](**_common(shape), **own, **_FIXED)
    model = AutoModelForCausalLM.from_config(config).eval()
    state = {name: torch.from_numpy(values) for name, values in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - ({"lm_head.weight"} if shape.tied else set()):
        raise SystemExit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


_FIXED = {
    "dtype": "float32",
    "attn_implementation": "eager",
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}


def _common(shape: Tiny) -> dict[str, Any]:
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "norm_eps" if shape.family == "lfm2" else "rms_norm_eps": shape.norm_epsilon,
        "tie_word_embeddings": shape.tied,
    }


def _rope(shape: Tiny) -> dict[str, Any]:
    """The rope of a model that has one kind of it."""
    own, rope = shape.own, {"rope_type": "default", "rope_theta": shape.rope_base}
    if own.get("rope.scaling.type") == "yarn":
        rope |= {
            "rope_type": "yarn",
            "factor": own["rope.scaling.factor"],
            "original_max_position_embeddings": own["rope.scaling.original_context_length"],
        }
        for name, key in _YARN.items():
            if key in own:
                rope[name] = own[key]
    if own.get("rope.scaling.type") == "linear":
        rope |= {"rope_type": "linear", "factor": own["rope.scaling.factor"]}
    return rope


_YARN = {
    "attention_factor": "rope.scaling.yarn_attn_factor",
    "beta_fast": "rope.scaling.yarn_beta_fast",
    "beta_slow": "rope.scaling.yarn_beta_slow",
}


def _plain(shape: Tiny) -> tuple[str, dict[str, Any]]:
    return shape.family, {"rope_parameters": _rope(shape)}


def _gemma3(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own = shape.own
    near = {"rope_type": "default", "rope_theta": own.get("rope.freq_base_swa", 10_000.0)}
    everywhere = {"rope_type": "default", "rope_theta": shape.rope_base}
    if "rope.scaling.factor" in own:
        everywhere |= {"rope_type": "linear", "factor": own["rope.scaling.factor"]}
    return "gemma3_text", {
        "rope_parameters": {"sliding_attention": near, "full_attention": everywhere},
        "sliding_window": own.get("attention.sliding_window", 4096),
        "layer_types": _layer_types(shape, period=6),
        "query_pre_attn_scalar": _query_scalar(shape, layers_of_27b=62),
        "final_logit_softcapping": own.get("final_logit_softcapping"),
    }


def _gemma2(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own = shape.own
    return "gemma2", {
        "rope_parameters": _rope(shape),
        "sliding_window": own["attention.sliding_window"],
        "layer_types": _layer_types(shape, period=2),
        "query_pre_attn_scalar": _query_scalar(shape, layers_of_27b=46),
        "attn_logit_softcapping": own["attn_logit_softcapping"],
        "final_logit_softcapping": own["final_logit_softcapping"],
    }


def _query_scalar(shape: Tiny, *, layers_of_27b: int) -> int:
    of = shape.width // shape.heads if shape.layers == layers_of_27b else shape.head_dim
    return round(shape.own.get("attention.scale", of**-0.5) ** -2)


def _phi3(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own, rope = shape.own, _rope(shape)
    if shape.vectors:
        original = own["rope.scaling.original_context_length"]
        rope |= {
            "rope_type": "longrope",
            "short_factor": list(shape.vectors["rope_factors_short"]),
            "long_factor": list(shape.vectors["rope_factors_long"]),
            "attention_factor": own["rope.scaling.attn_factor"],
            "original_max_position_embeddings": original,
            "partial_rotary_factor": own["rope.dimension_count"] / shape.head_dim,
        }
    window = own.get("attention.sliding_window")
    return "phi3", {
        "rope_parameters": rope,
        "original_max_position_embeddings": rope.get(
            "original_max_position_embeddings", shape.context
        ),
        "sliding_window": window,
    }


def _with_biases(shape: Tiny) -> tuple[str, dict[str, Any]]:
    biases = {"attention_bias": "qkv" in shape.biases, "mlp_bias": "ffn" in shape.biases}
    return shape.family, {"rope_parameters": _rope(shape), **biases}


def _qwen3(shape: Tiny) -> tuple[str, dict[str, Any]]:
    return "qwen3", {"rope_parameters": _rope(shape), "attention_bias": "qkv" in shape.biases}


def _granite(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own = shape.own
    return "granite", _with_biases(shape)[1] | {
        "attention_multiplier": own["attention.scale"],
        "embedding_multiplier": own["embedding_scale"],
        "residual_multiplier": own["residual_scale"],
        "logits_scaling": own["logit_scale"],
    }


def _olmo(shape: Tiny) -> tuple[str, dict[str, Any]]:
    """OLMo 3 is GGUF's `olmo2` with windows."""
    rope = _rope(shape)
    if "attention.sliding_window" not in shape.own:
        return "olmo2", {"rope_parameters": rope}
    near = {"rope_type": "default", "rope_theta": shape.rope_base}
    return "olmo3", {
        "rope_parameters": {"sliding_attention": near, "full_attention": rope},
        "sliding_window": shape.own["attention.sliding_window"],
        "layer_types": _layer_types(shape, period=4),
    }


def _ministral3(shape: Tiny) -> tuple[str, dict[str, Any]]:
    """Without the growth of queries it is a Mistral of the first version."""
    own, rope = shape.own, _rope(shape)
    window = own.get("attention.sliding_window")
    if "attention.temperature_scale" not in own:
        return "mistral", {"rope_parameters": rope, "sliding_window": window}
    rope |= {
        "mscale": 1.0,
        "mscale_all_dim": own["rope.scaling.yarn_log_multiplier"],
        "llama_4_scaling_beta": own["attention.temperature_scale"],
        "beta_fast": own.get("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": own.get("rope.scaling.yarn_beta_slow", 1.0),
    }
    return "ministral3", {"rope_parameters": rope, "sliding_window": window}


def _lfm2(shape: Tiny) -> tuple[str, dict[str, Any]]:
    return "lfm2", {
        "rope_parameters": _rope(shape),
        "conv_L_cache": shape.own["shortconv.l_cache"],
        "block_auto_adjust_ff_dim": False,
        "layer_types": layer_types(shape.own["attention.head_count_kv"]),
    }


def _qwen35(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own = shape.own
    period = own["full_attention_interval"]
    return "qwen3_5_text", {
        "rope_parameters": _rope(shape)
        | {"partial_rotary_factor": own["rope.dimension_count"] / shape.head_dim},
        "layer_types": [
            "full_attention" if i % period == period - 1 else "linear_attention"
            for i in range(shape.layers)
        ],
        "linear_conv_kernel_dim": own["ssm.conv_kernel"],
        "linear_key_head_dim": own["ssm.state_size"],
        "linear_value_head_dim": own["ssm.state_size"],
        "linear_num_key_heads": own["ssm.group_count"],
        "linear_num_value_heads": own["ssm.time_step_rank"],
    }


def _gemma4(shape: Tiny) -> tuple[str, dict[str, Any]]:
    own, divisors = shape.own, shape.vectors["rope_freqs"]
    turning = sum(divisor < 1e30 for divisor in divisors)
    far = {"rope_type": "proportional", "rope_theta": shape.rope_base}
    far |= {"partial_rotary_factor": turning / len(divisors), "factor": divisors[0]}
    near = {"rope_type": "default", "rope_theta": own["rope.freq_base_swa"]}
    return "gemma4_text", {
        "rope_parameters": {"sliding_attention": near, "full_attention": far},
        "sliding_window": own["attention.sliding_window"],
        "layer_types": _layer_types(shape, period=6),
        "global_head_dim": own["attention.key_length"],
        "num_global_key_value_heads": far_kv_heads(own),
        "attention_k_eq_v": keys_are_values(own),
        "num_kv_shared_layers": own.get("attention.shared_kv_layers", 0),
        "use_double_wide_mlp": "feed_forward_length" in own,
        "hidden_size_per_layer_input": own["embedding_length_per_layer_input"],
        "vocab_size_per_layer_input": shape.vocabulary,
        "final_logit_softcapping": own["final_logit_softcapping"] or None,
    }


def _layer_types(shape: Tiny, *, period: int) -> list[str]:
    if "attention.sliding_window" not in shape.own:
        return ["full_attention"] * shape.layers
    near = shape.own.get("attention.sliding_window_pattern", period)
    if isinstance(near, int):
        near = [i % near < near - 1 for i in range(shape.layers)]
    return ["sliding_attention" if each else "full_attention" for each in near]


_CONFIGS: dict[str, Callable[[Tiny], tuple[str, dict[str, Any]]]] = {
    "llama": _with_biases,
    "qwen2": _plain,
    "qwen3": _qwen3,
    "gemma3": _gemma3,
    "gemma2": _gemma2,
    "phi3": _phi3,
    "smollm3": _with_biases,
    "granite": _granite,
    "olmo2": _olmo,
    "mistral3": _ministral3,
    "lfm2": _lfm2,
    "qwen35": _qwen35,
    "gemma4": _gemma4,
}
