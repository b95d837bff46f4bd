"""Q6_K: 16 sub-blocks of 16 weights; 210 bytes a block of 256 (6.5625 bits a weight).

Bytes 0-127: each 64 bytes hold the low four bits of 128 weights, byte l those of weight l (low
nibble) and of weight 64 + l (high). Bytes 128-191: each 32 bytes hold the upper two bits of 128
weights, the bits 2j and 2j+1 of byte l being those of weight 32j + l. A weight is stored + 32.
Bytes 192-207 hold sixteen int8 scales, 208-209 their float16 factor.
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
    split,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import nibbles

NAME = "Q6_K"
GGML_TYPE = 14
BLOCK = 256
BLOCK_BYTES = 210
SUB_BLOCK = 16
LEVELS = tuple(range(-32, 32))


def unpack(packed: Bytes) -> Blocks:
    """Codes -32 to 31 and scales of `packed`, (..., n_blocks, 210) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    low = by_weight(bit_fields(split(packed[..., 0:128], 2), 4), packed)
    high = by_weight(bit_fields(split(packed[..., 128:192], 2), 2), packed)
    codes = (low | high << np.uint8(4)).view(np.int8) - np.int8(32)
    factors = packed[..., 192:208].view(np.int8)
    return Blocks(
        codes=codes, scale=by_weight(product(float16(packed[..., 208:210]), factors), packed)
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 210) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 210) uint8."""
    low = nibbles(by_block(codes, 2, 128))
    high = joined_fields(by_block(codes, 2, 4, 32) >> np.uint8(4), 2)
    factors = by_block(parts.factor, 16)
    return joined(flat(low), flat(high), factors, halves(parts.scale))
