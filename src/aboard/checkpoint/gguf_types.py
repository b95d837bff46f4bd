"""The tensor types that GGUF files may hold: number, name, weights and bytes per block.

The whole list of ggml is here, so that a file can be described though Aboard can't run all of it;
`aboard.formats` says which of them it decodes.
"""

from __future__ import annotations

from typing import NamedTuple


class TensorType(NamedTuple):
    """A type of tensor: `block_bytes` bytes hold `block` weights."""

    name: str
    block: int
    block_bytes: int


TENSOR_TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
}

# Types that no sound file holds any more (the removed ones) or ever held (Q8_1, Q8_K).
REFUSED_TYPES = {
    4: "Q4_2, which GGUF has dropped",
    5: "Q4_3, which GGUF has dropped",
    9: "Q8_1, which is for activations and not for files",
    15: "Q8_K, which is for activations and not for files",
    31: "Q4_0_4_4, which GGUF has dropped",
    32: "Q4_0_4_8, which GGUF has dropped",
    33: "Q4_0_8_8, which GGUF has dropped",
    36: "IQ4_NL_4_4, which GGUF has dropped",
    37: "IQ4_NL_4_8, which GGUF has dropped",
    38: "IQ4_NL_8_8, which GGUF has dropped",
}
