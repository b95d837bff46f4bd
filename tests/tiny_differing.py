"""A tiny Gemma 4 whose layers differ in all that they can, in no round numbers.

Heads of two sizes and two numbers of them, feed-forward blocks of two widths, keys that are shared
or taken for values, windows, and what layers know of a token.
"""

import numpy as np

from tiny_families import Tiny

DIFFERING = Tiny(
    "gemma4",
    layers=5,
    width=72,
    heads=6,
    kv_heads=2,
    head_dim=20,
    ffn=100,
    own={
        "attention.head_count_kv": np.array([2, 2, 1, 2, 1], np.int32),
        "attention.key_length": 44,
        "attention.value_length": 44,
        "attention.key_length_swa": 20,
        "attention.value_length_swa": 20,
        "attention.sliding_window": 70,
        "attention.sliding_window_pattern": np.array([True, True, False, True, False]),
        "attention.shared_kv_layers": 2,
        "feed_forward_length": np.array([100, 100, 100, 200, 200], np.int32),
        "embedding_length_per_layer_input": 40,
        "rope.dimension_count": 44,
        "rope.dimension_count_swa": 20,
        "final_logit_softcapping": 20.0,
    },
    vectors={"rope_freqs": (1.0,) * 5 + (1e30,) * 17},
)
