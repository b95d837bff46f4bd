"""The cases of LFM2 and Qwen3.5 in tests/golden/families: most layers have no attention."""

import numpy as np
from golden_case import FEW, ODD, Case

from tiny_families import Tiny

HYBRIDS = {
    "lfm2": Case(
        22,
        Tiny(
            "lfm2",
            layers=5,
            tied=True,
            rope_base=1e6,
            own={
                "shortconv.l_cache": 3,
                "attention.head_count_kv": np.array([0, 0, 2, 0, 2], np.int32),
            },
        ),
        rows=FEW,
    ),
    "lfm2_odd": Case(
        23,
        Tiny(
            "lfm2",
            layers=4,
            **ODD,
            ffn=100,
            own={
                "shortconv.l_cache": 4,
                "attention.head_count_kv": np.array([1, 0, 1, 0], np.int32),
            },
        ),
        n_tokens=80,
        rows=[1, 3, 63, 79],
    ),
    "qwen35": Case(
        24,
        Tiny(
            "qwen35",
            layers=4,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                "rope.dimension_count": 4,
                "rope.dimension_sections": np.array([2, 0, 0, 0], np.int32),
                "full_attention_interval": 4,
                "ssm.conv_kernel": 4,
                "ssm.state_size": 16,
                "ssm.group_count": 2,
                "ssm.time_step_rank": 4,
                "ssm.inner_size": 64,
            },
        ),
        rows=FEW,
    ),
    "qwen35_odd": Case(
        25,
        Tiny(
            "qwen35",
            layers=4,
            **ODD,
            ffn=100,
            tied=True,
            rope_base=1e6,
            norm_epsilon=1e-6,
            own={
                "rope.dimension_count": 10,
                "rope.dimension_sections": np.array([5, 0, 0, 0], np.int32),
                "full_attention_interval": 2,
                "ssm.conv_kernel": 3,
                "ssm.state_size": 12,
                "ssm.group_count": 3,
                "ssm.time_step_rank": 9,
                "ssm.inner_size": 108,
            },
        ),
        n_tokens=80,
        rows=[1, 3, 63, 79],
    ),
}
