"""Q5_1: 32 weights share a float16 scale and minimum; 24 bytes a block (6 bits a weight).

Bytes 0-1 scale, 2-3 minimum; bit i of bytes 4-7 is the fifth bit of weight i; byte 8+i holds the
low four bits of weight i (low nibble) and of weight i+16 (high).
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import (
    bit_fields,
    by_block,
    by_weight,
    float16,
    halves,
    joined,
    require_blocks,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import affine, blocks_of, fifth_bits, float16_bytes, nibbles

NAME = "Q5_1"
GGML_TYPE = 7
BLOCK = 32
BLOCK_BYTES = 24
SUB_BLOCK = 32
LEVELS = tuple(range(32))


def unpack(packed: Bytes) -> Blocks:
    """Codes 0 to 31, scales and minimums of `packed`, (..., n_blocks, 24) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    low = by_weight(bit_fields(packed[..., 8:], 4), packed)
    high = by_weight(np.unpackbits(packed[..., 4:8], axis=-1, bitorder="little"), packed)
    return Blocks(
        codes=(low | high << np.uint8(4)).view(np.int8),
        scale=by_weight(float16(packed[..., 0:2]), packed),
        minimum=by_weight(float16(packed[..., 2:4]), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 24) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 24) uint8."""
    blocks = by_block(codes, 32)
    scales = halves(parts.scale), halves(parts.minimum)
    return joined(*scales, fifth_bits(blocks), nibbles(blocks))


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 24) uint8, each by itself."""
    scale, minimum, codes = affine(blocks_of(weights, BLOCK), 31)
    fields = [float16_bytes(scale), float16_bytes(minimum), fifth_bits(codes), nibbles(codes)]
    return np.concatenate(fields, axis=-1)
