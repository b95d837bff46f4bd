"""Q4_K: 8 sub-blocks of 32 weights; 144 bytes a block of 256 (4.5 bits a weight).

Bytes 0-1 hold the float16 factor of the scales, 2-3 that of the minimums, which are subtracted;
bytes 4-15 eight 6-bit scales and eight 6-bit minimums (`six_bit_pairs`). Bytes 16-143: each 32
bytes hold 64 weights, byte l weight l (low nibble) and weight 32 + l (high).
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import (
    bit_fields,
    by_block,
    by_weight,
    flat,
    float16,
    halves,
    joined,
    product,
    require_blocks,
    six_bit_fields,
    six_bit_pairs,
    split,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import nibbles

NAME = "Q4_K"
GGML_TYPE = 12
BLOCK = 256
BLOCK_BYTES = 144
SUB_BLOCK = 32
LEVELS = tuple(range(16))


def unpack(packed: Bytes) -> Blocks:
    """Codes 0 to 15, scales and minimums of `packed`, (..., n_blocks, 144) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    scales, minimums = six_bit_pairs(packed[..., 4:16])
    codes = bit_fields(split(packed[..., 16:144], 4), 4).view(np.int8)
    return Blocks(
        codes=by_weight(codes, packed),
        scale=by_weight(product(float16(packed[..., 0:2]), scales), packed),
        minimum=by_weight(-product(float16(packed[..., 2:4]), minimums), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 144) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 144) uint8."""
    scales = halves(parts.scale), halves(parts.minimum)
    factors = six_bit_fields(by_block(parts.factor, 8), by_block(parts.minimum_factor, 8))
    return joined(*scales, factors, flat(nibbles(by_block(codes, 4, 64))))
