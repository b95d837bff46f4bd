"""Q4_1: 32 weights share a float16 scale and minimum; 20 bytes a block (5 bits a weight).

Bytes 0-1 scale, 2-3 minimum; byte 4+i holds weight i (low nibble) and weight i+16 (high).
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
from aboard.formats._rounding import affine, blocks_of, float16_bytes, nibbles

NAME = "Q4_1"
GGML_TYPE = 3
BLOCK = 32
BLOCK_BYTES = 20
SUB_BLOCK = 32
LEVELS = tuple(range(16))


def unpack(packed: Bytes) -> Blocks:
    """Codes 0 to 15, scales and minimums of `packed`, (..., n_blocks, 20) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    codes = bit_fields(packed[..., 4:], 4).view(np.int8)
    return Blocks(
        codes=by_weight(codes, packed),
        scale=by_weight(float16(packed[..., 0:2]), packed),
        minimum=by_weight(float16(packed[..., 2:4]), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 20) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 20) uint8."""
    fields = halves(parts.scale), halves(parts.minimum), nibbles(by_block(codes, 32))
    return joined(*fields)


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 20) uint8, each by itself."""
    scale, minimum, codes = affine(blocks_of(weights, BLOCK), 15)
    fields = [float16_bytes(scale), float16_bytes(minimum), nibbles(codes)]
    return np.concatenate(fields, axis=-1)
