"""Q5_0: 32 weights share one float16 scale; 22 bytes a block (5.5 bits a weight).

Bytes 0-1 scale; bit i of bytes 2-5 is the fifth bit of weight i; byte 6+i holds the low four bits
of weight i (low nibble) and of weight i+16 (high). Each weight is stored + 16.
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
from aboard.formats._rounding import blocks_of, fifth_bits, float16_bytes, nibbles, symmetric

NAME = "Q5_0"
GGML_TYPE = 6
BLOCK = 32
BLOCK_BYTES = 22
SUB_BLOCK = 32
LEVELS = tuple(range(-16, 16))


def unpack(packed: Bytes) -> Blocks:
    """Codes -16 to 15 and scales of `packed`, (..., n_blocks, 22) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    low = by_weight(bit_fields(packed[..., 6:], 4), packed)
    high = by_weight(np.unpackbits(packed[..., 2:6], axis=-1, bitorder="little"), packed)
    codes = (low | high << np.uint8(4)).view(np.int8) - np.int8(16)
    return Blocks(codes=codes, scale=by_weight(float16(packed[..., 0:2]), packed))


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 22) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 22) uint8."""
    blocks = by_block(codes, 32)
    return joined(halves(parts.scale), fifth_bits(blocks), nibbles(blocks))


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 22) uint8, each by itself."""
    scale, codes = symmetric(blocks_of(weights, BLOCK), 16)
    return np.concatenate([float16_bytes(scale), fifth_bits(codes), nibbles(codes)], axis=-1)
