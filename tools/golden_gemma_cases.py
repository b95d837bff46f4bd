"""The cases of Gemma 2 and 3 in tests/golden/families: windows, caps, and many layers."""

import numpy as np
from golden_case import Case

from tiny_families import Tiny

GEMMA = {
    "gemma3": Case(
        6,
        Tiny(
            "gemma3",
            layers=7,
            width=48,
            heads=4,
            kv_heads=1,
            head_dim=16,
            tied=True,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={"attention.sliding_window": 20},
        ),
        n_tokens=80,
        rows=[1, 19, 20, 79],
    ),
    "gemma3_odd": Case(
        7,
        Tiny(
            "gemma3",
            layers=4,
            width=60,
            heads=3,
            kv_heads=3,
            head_dim=40,
            ffn=172,
            rope_base=500_000.0,
            norm_epsilon=1e-6,
            own={
                "attention.sliding_window": 33,
                "attention.sliding_window_pattern": np.array([True, False, True, False]),
                "rope.freq_base_swa": 5_000.0,
                "rope.scaling.type": "linear",
                "rope.scaling.factor": 8.0,
                "final_logit_softcapping": 20.0,
                "attention.scale": 0.1,
            },
        ),
        n_tokens=80,
        rows=[1, 32, 33, 79],
    ),
    "gemma2": Case(
        8,
        Tiny(
            "gemma2",
            layers=3,
            width=64,
            heads=4,
            kv_heads=2,
            head_dim=24,
            tied=True,
            norm_epsilon=1e-6,
            own={
                "attention.sliding_window": 24,
                "attn_logit_softcapping": 50.0,
                "final_logit_softcapping": 30.0,
            },
        ),
        n_tokens=80,
        rows=[1, 23, 24, 79],
    ),
    "gemma2_hard_caps": Case(
        9,
        Tiny(
            "gemma2",
            layers=2,
            width=72,
            heads=3,
            kv_heads=1,
            head_dim=20,
            ffn=100,
            norm_epsilon=1e-6,
            own={
                "attention.sliding_window": 70,
                "attn_logit_softcapping": 0.7,
                "final_logit_softcapping": 6.0,
            },
        ),
        n_tokens=80,
        rows=[1, 23, 70, 79],
    ),
    # As deep as the largest Gemmas, which scale scores by width / heads.
    "gemma2_deep": Case(
        30,
        Tiny(
            "gemma2",
            layers=46,
            width=48,
            heads=4,
            kv_heads=2,
            head_dim=8,
            ffn=64,
            tied=True,
            norm_epsilon=1e-6,
            own={
                "attention.sliding_window": 24,
                "attention.sliding_window_pattern": 3,
                "attn_logit_softcapping": 20.0,
                "final_logit_softcapping": 30.0,
                "rope.scaling.type": "linear",
                "rope.scaling.factor": 2.0,
            },
        ),
        n_tokens=80,
        rows=[1, 23, 24, 79],
    ),
    "gemma3_deep": Case(
        31,
        Tiny(
            "gemma3",
            layers=62,
            width=48,
            heads=4,
            kv_heads=2,
            head_dim=8,
            ffn=64,
            tied=True,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={"attention.sliding_window": 30},
        ),
        n_tokens=80,
        rows=[1, 29, 30, 79],
    ),
    # No layer has a window.
    "gemma3_far": Case(
        32,
        Tiny("gemma3", layers=3, head_dim=24, kv_heads=1, rope_base=1e6),
        n_tokens=80,
        rows=[1, 29, 30, 79],
    ),
}
