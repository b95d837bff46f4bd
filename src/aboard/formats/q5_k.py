"""Q5_K: 8 sub-blocks of 32 weights; 176 bytes a block of 256 (5.5 bits a weight).

Bytes 0-1 hold the float16 factor of the scales, 2-3 that of the minimums, which are subtracted;
bytes 4-15 eight 6-bit scales and eight 6-bit minimums (`six_bit_pairs`). Bytes 16-47: bit j of byte
l is the fifth bit of weight 32j + l. Bytes 48-175: each 32 bytes hold the low four bits of 64
weights, byte l those of weight l (low nibble) and of weight 32 + l (high).
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
    joined_fields,
    product,
    require_blocks,
    six_bit_fields,
    six_bit_pairs,
    split,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import nibbles

NAME = "Q5_K"
GGML_TYPE = 13
BLOCK = 256
BLOCK_BYTES = 176
SUB_BLOCK = 32
LEVELS = tuple(range(32))


def unpack(packed: Bytes) -> Blocks:
    """Codes 0 to 31, scales and minimums of `packed`, (..., n_blocks, 176) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    scales, minimums = six_bit_pairs(packed[..., 4:16])
    high = by_weight(bit_fields(packed[..., 16:48], 1), packed)
    low = by_weight(bit_fields(split(packed[..., 48:176], 4), 4), packed)
    return Blocks(
        codes=(low | high << np.uint8(4)).view(np.int8),
        scale=by_weight(product(float16(packed[..., 0:2]), scales), packed),
        minimum=by_weight(-product(float16(packed[..., 2:4]), minimums), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 176) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 176) uint8."""
    scales = halves(parts.scale), halves(parts.minimum)
    factors = six_bit_fields(by_block(parts.factor, 8), by_block(parts.minimum_factor, 8))
    high = joined_fields(by_block(codes, 8, 32) >> np.uint8(4), 1)
    return joined(*scales, factors, high, flat(nibbles(by_block(codes, 4, 64))))
