"""The cases of tests/golden/families: every family, with its quirks switched on and odd sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
from golden_case import FEW, ODD, Case
from golden_gemma4_cases import GEMMA4
from golden_gemma_cases import GEMMA
from golden_hybrid_cases import HYBRIDS

from tiny_families import Tiny

YARN = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 32,
}


def _longrope(pairs: int, original_context: int) -> dict[str, Any]:
    """LongRoPE with divisors that differ from pair to pair."""
    steps = np.arange(pairs, dtype=np.float32)
    return {
        "own": {
            "rope.dimension_count": 2 * pairs,
            "rope.scaling.original_context_length": original_context,
            "rope.scaling.attn_factor": 1.19,
        },
        "vectors": {
            "rope_factors_short": tuple((1.0 + 0.125 * steps).tolist()),
            "rope_factors_long": tuple((2.0 + 1.5 * steps).tolist()),
        },
    }


N_FORCED = 256

_CASES = {
    "qwen2": Case(1, Tiny("qwen2", biases=("qkv",), rope_base=1e6), rows=FEW),
    "qwen2_odd": Case(
        2,
        Tiny(
            "qwen2",
            layers=3,
            width=72,
            heads=3,
            kv_heads=1,
            head_dim=24,
            ffn=100,
            tied=True,
            biases=("qkv",),
        ),
        rows=FEW,
    ),
    "qwen2_yarn": Case(
        3,
        Tiny("qwen2", biases=("qkv",), context=256, own=YARN),
        n_tokens=120,
        rows=[1, 31, 63, 119],
    ),
    "qwen3": Case(4, Tiny("qwen3", head_dim=24, rope_base=1e6), rows=FEW),
    **GEMMA,
    "olmo2_linear": Case(
        33,
        Tiny(
            "olmo2",
            kv_heads=4,
            norm_epsilon=1e-6,
            rope_base=500_000.0,
            own={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        ),
        rows=FEW,
    ),
    "olmo3_plain": Case(
        34,
        Tiny(
            "olmo2",
            layers=4,
            **ODD,
            ffn=172,
            own={
                "attention.sliding_window": 9,
                "attention.sliding_window_pattern": 2,
            },
        ),
        rows=FEW,
    ),
    "phi3": Case(10, Tiny("phi3", own={"attention.sliding_window": 9}), rows=FEW),
    "phi3_short": Case(
        11,
        Tiny("phi3", head_dim=24, width=96, context=256, **_longrope(6, 32)),
        context=32,
        rows=FEW,
    ),
    "phi3_long": Case(
        12,
        Tiny(
            "phi3",
            layers=3,
            width=72,
            heads=3,
            kv_heads=1,
            head_dim=24,
            ffn=100,
            tied=True,
            context=256,
            **_longrope(9, 32),
        ),
        n_tokens=80,
        rows=[1, 31, 32, 79],
        n_prompt=40,
        context=256,
    ),
    "smollm3": Case(13, Tiny("smollm3", layers=5, tied=True, rope_base=2e6), rows=FEW),
    "smollm3_odd": Case(
        14,
        Tiny(
            "smollm3",
            layers=4,
            **ODD,
            ffn=100,
            biases=("qkv", "output", "ffn"),
        ),
        rows=FEW,
    ),
    "smollm3_yarn": Case(
        27,
        Tiny(
            "smollm3",
            layers=5,
            width=72,
            heads=3,
            kv_heads=3,
            head_dim=24,
            ffn=100,
            context=256,
            own=YARN,
        ),
        n_tokens=120,
        rows=[1, 31, 63, 119],
    ),
    "granite": Case(
        15,
        Tiny(
            "granite",
            tied=True,
            own={
                "attention.scale": 0.0625,
                "embedding_scale": 12.0,
                "residual_scale": 0.22,
                "logit_scale": 8.0,
            },
        ),
        rows=FEW,
    ),
    "granite_odd": Case(
        16,
        Tiny(
            "granite",
            layers=3,
            **ODD,
            ffn=100,
            biases=("qkv", "output", "ffn"),
            own={
                "attention.scale": 0.3,
                "embedding_scale": 3.0,
                "residual_scale": 1.4,
                "logit_scale": 0.7,
            },
        ),
        rows=FEW,
    ),
    "olmo2": Case(17, Tiny("olmo2", norm_epsilon=1e-6, rope_base=500_000.0), rows=FEW),
    "olmo2_odd": Case(
        18,
        Tiny("olmo2", layers=3, **ODD, ffn=172),
        rows=FEW,
    ),
    "olmo3": Case(
        19,
        Tiny(
            "olmo2",
            layers=5,
            rope_base=500_000.0,
            context=256,
            own={
                "attention.sliding_window": 20,
                "attention.sliding_window_pattern": np.array([True, True, True, False, True]),
                **YARN,
                "rope.scaling.yarn_attn_factor": 1.25,
                "rope.scaling.yarn_beta_fast": 32.0,
                "rope.scaling.yarn_beta_slow": 1.0,
            },
        ),
        n_tokens=80,
        rows=[1, 19, 20, 79],
    ),
    "mistral3": Case(
        20,
        Tiny(
            "mistral3",
            rope_base=1e6,
            context=256,
            own={
                **YARN,
                "rope.scaling.yarn_log_multiplier": 1.0,
                "attention.temperature_scale": 0.3,
            },
        ),
        n_tokens=120,
        rows=[1, 31, 32, 119],
    ),
    "mistral3_odd": Case(
        21,
        Tiny(
            "mistral3",
            layers=3,
            **ODD,
            ffn=172,
            tied=True,
            context=256,
            own={
                **YARN,
                "rope.scaling.yarn_log_multiplier": 0.6,
                "attention.temperature_scale": 0.1,
                "rope.scaling.yarn_beta_fast": 4.0,
                "rope.scaling.yarn_beta_slow": 0.5,
                "attention.sliding_window": 50,
            },
        ),
        n_tokens=120,
        rows=[1, 31, 64, 119],
    ),
    "llama_biases": Case(
        22,
        Tiny(
            "llama",
            layers=3,
            **ODD,
            ffn=100,
            tied=True,
            biases=("qkv", "output", "ffn"),
        ),
        rows=FEW,
    ),
    "llama_yarn": Case(
        23,
        Tiny(
            "llama",
            context=256,
            own={
                **YARN,
                "rope.scaling.yarn_attn_factor": 1.3,
                "rope.scaling.yarn_beta_fast": 8.0,
                "rope.scaling.yarn_beta_slow": 0.5,
            },
        ),
        n_tokens=120,
        rows=[1, 31, 63, 119],
    ),
    # GGUF's mistral3 with nothing of its own, and its llama, are Mistrals of later versions.
    "mistral": Case(
        26,
        Tiny("mistral3", width=72, heads=3, kv_heads=1, head_dim=32, ffn=100, tied=True),
        rows=FEW,
    ),
    "mistral_window": Case(
        24,
        Tiny("mistral3", layers=3, context=256, own={"attention.sliding_window": 20}),
        n_tokens=80,
        rows=[1, 19, 20, 79],
    ),
    "qwen3_biases": Case(
        25,
        Tiny(
            "qwen3",
            layers=3,
            heads=4,
            kv_heads=1,
            head_dim=24,
            biases=("qkv", "output"),
            own={"rope.scaling.type": "linear", "rope.scaling.factor": 3.0},
        ),
        rows=FEW,
    ),
    **HYBRIDS,
    **GEMMA4,
    "qwen3_odd": Case(
        5,
        Tiny("qwen3", layers=3, width=60, heads=6, kv_heads=3, head_dim=20, ffn=172, tied=True),
        rows=FEW,
    ),
}
FAMILY_CASES = {
    name: case if case.context == 32 else replace(case, n_forced=N_FORCED)
    for name, case in _CASES.items()
}
