"""The models whose matrices' inputs are compared with those in transformers: a seed and a shape."""

import numpy as np

from tiny import Llama
from tiny_families import Tiny

TOKENS = ((np.arange(14) * 97 + 13) % 259).tolist()

CASES = {
    "llama": (1, Llama()),
    "phi3": (2, Tiny("phi3", own={"attention.sliding_window": 9})),
    "gemma2": (
        3,
        Tiny(
            "gemma2",
            layers=2,
            tied=True,
            own={
                "attention.sliding_window": 5,
                "attn_logit_softcapping": 4.0,
                "final_logit_softcapping": 3.0,
            },
        ),
    ),
    "lfm2": (
        4,
        Tiny(
            "lfm2",
            own={
                "shortconv.l_cache": 3,
                "attention.head_count_kv": np.array([0, 2], np.int32),
            },
        ),
    ),
}
