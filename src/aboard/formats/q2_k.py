"""Q2_K: 16 sub-blocks of 16 weights; 84 bytes a block of 256 (2.625 bits a weight).

Byte i of 0-15 holds the 4-bit scale (low nibble) and minimum (high) of sub-block i. Bytes 16-79:
each 32 bytes hold 128 weights, the bits 2j and 2j+1 of byte l being weight 32j + l. Bytes 80-81
hold the float16 factor of the scales, 82-83 that of the minimums, which are subtracted.
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
    nibble_pairs,
    product,
    require_blocks,
    split,
)
from aboard.formats._parts import Parts

NAME = "Q2_K"
GGML_TYPE = 10
BLOCK = 256
BLOCK_BYTES = 84
SUB_BLOCK = 16
LEVELS = tuple(range(4))


def unpack(packed: Bytes) -> Blocks:
    """Codes 0 to 3, scales and minimums of `packed`, (..., n_blocks, 84) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    pairs = packed[..., 0:16]
    codes = bit_fields(split(packed[..., 16:80], 2), 2).view(np.int8)
    return Blocks(
        codes=by_weight(codes, packed),
        scale=by_weight(product(float16(packed[..., 80:82]), pairs & 15), packed),
        minimum=by_weight(-product(float16(packed[..., 82:84]), pairs >> 4), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 84) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 84) uint8."""
    pairs = nibble_pairs(by_block(parts.factor, 16), by_block(parts.minimum_factor, 16))
    low = joined_fields(by_block(codes, 2, 4, 32), 2)
    return joined(pairs, flat(low), halves(parts.scale), halves(parts.minimum))
