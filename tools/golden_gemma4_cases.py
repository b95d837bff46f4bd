"""The cases of Gemma 4 in tests/golden/families: small ones, whose layers know the token and share
keys, and large ones, whose far layers take keys for values.
"""

import numpy as np
from golden_case import FEW, ODD, Case

from tiny_families import Tiny


def _head_widths(*, far: int, near: int) -> dict[str, int]:
    """The same for keys as for values, in far layers and in those with a window."""
    return {
        "attention.key_length": far,
        "attention.value_length": far,
        "attention.key_length_swa": near,
        "attention.value_length_swa": near,
    }


GEMMA4 = {
    "gemma4": Case(
        26,
        Tiny(
            "gemma4",
            layers=6,
            tied=True,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                **_head_widths(far=32, near=16),
                "attention.sliding_window": 24,
                "attention.sliding_window_pattern": np.array([True, True, False] * 2),
                "attention.shared_kv_layers": 3,
                "feed_forward_length": np.array([96] * 3 + [192] * 3, np.int32),
                "embedding_length_per_layer_input": 32,
                "rope.dimension_count": 32,
                "rope.dimension_count_swa": 16,
                "rope.freq_base_swa": 10_000.0,
                "final_logit_softcapping": 30.0,
            },
            vectors={"rope_freqs": (1.0,) * 4 + (1e30,) * 12},
        ),
        rows=FEW,
    ),
    "gemma4_odd": Case(
        27,
        Tiny(
            "gemma4",
            layers=5,
            **ODD,
            ffn=100,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                **_head_widths(far=44, near=20),
                "attention.sliding_window": 70,
                "attention.sliding_window_pattern": np.array([False, True, False, False, False]),
                "attention.shared_kv_layers": 2,
                "embedding_length_per_layer_input": 12,
                "rope.dimension_count": 44,
                "rope.dimension_count_swa": 20,
                "rope.freq_base_swa": 5_000.0,
                "final_logit_softcapping": 0.0,
            },
            vectors={"rope_freqs": (2.0,) * 11 + (1e30,) * 11},
        ),
        n_tokens=80,
        rows=[1, 3, 63, 79],
    ),
    "gemma4_large": Case(
        28,
        Tiny(
            "gemma4",
            layers=6,
            heads=8,
            kv_heads=4,
            tied=True,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                "attention.head_count_kv": np.array([4, 4, 4, 4, 4, 2], np.int32),
                **_head_widths(far=32, near=16),
                "attention.sliding_window": 40,
                "attention.sliding_window_pattern": np.array([True] * 5 + [False]),
                "embedding_length_per_layer_input": 0,
                "rope.dimension_count": 32,
                "rope.dimension_count_swa": 16,
                "rope.freq_base_swa": 10_000.0,
                "final_logit_softcapping": 30.0,
            },
            vectors={"rope_freqs": (1.0,) * 4 + (1e30,) * 12},
        ),
        rows=FEW,
    ),
    "gemma4_large_odd": Case(
        29,
        Tiny(
            "gemma4",
            layers=4,
            width=60,
            heads=6,
            kv_heads=2,
            head_dim=12,
            ffn=172,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                "attention.head_count_kv": np.array([2, 3, 2, 3], np.int32),
                **_head_widths(far=20, near=12),
                "attention.sliding_window": 64,
                "attention.sliding_window_pattern": np.array([True, False, True, False]),
                "attention.shared_kv_layers": 2,
                "embedding_length_per_layer_input": 8,
                "rope.dimension_count": 20,
                "rope.dimension_count_swa": 12,
                "rope.freq_base_swa": 10_000.0,
                "final_logit_softcapping": 15.0,
            },
            vectors={"rope_freqs": (1.0,) * 10},
        ),
        n_tokens=80,
        rows=[1, 3, 63, 79],
    ),
}
