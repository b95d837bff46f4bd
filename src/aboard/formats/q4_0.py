"""Q4_0: 32 weights share one float16 scale; 18 bytes a block (4.5 bits a weight).

Bytes 0-1 scale; byte 2+i holds weight i (low nibble) and weight i+16 (high), each stored + 8.
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
from aboard.formats._rounding import blocks_of, float16_bytes, nibbles, symmetric

NAME = "Q4_0"
GGML_TYPE = 2
BLOCK = 32
BLOCK_BYTES = 18
SUB_BLOCK = 32
LEVELS = tuple(range(-8, 8))


def unpack(packed: Bytes) -> Blocks:
    """Codes -8 to 7 and scales of `packed`, (..., n_blocks, 18) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    codes = bit_fields(packed[..., 2:], 4).view(np.int8) - np.int8(8)
    return Blocks(
        codes=by_weight(codes, packed), scale=by_weight(float16(packed[..., 0:2]), packed)
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 18) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 18) uint8."""
    return joined(halves(parts.scale), nibbles(by_block(codes, 32)))


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 18) uint8, each by itself."""
    scale, codes = symmetric(blocks_of(weights, BLOCK), 8)
    return np.concatenate([float16_bytes(scale), nibbles(codes)], axis=-1)
