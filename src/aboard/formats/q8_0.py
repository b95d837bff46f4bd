"""Q8_0: 32 weights share one float16 scale; 34 bytes a block (8.5 bits a weight).

Bytes 0-1 scale; byte 2+i is weight i as int8.
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import (
    by_block,
    by_weight,
    float16,
    halves,
    joined,
    require_blocks,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import blocks_of, float16_bytes, reciprocal

NAME = "Q8_0"
GGML_TYPE = 8
BLOCK = 32
BLOCK_BYTES = 34
SUB_BLOCK = 32
LEVELS = tuple(range(-128, 128))


def unpack(packed: Bytes) -> Blocks:
    """Codes -128 to 127 and scales of `packed`, (..., n_blocks, 34) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    return Blocks(
        codes=by_weight(packed[..., 2:].view(np.int8), packed),
        scale=by_weight(float16(packed[..., 0:2]), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 34) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 34) uint8."""
    return joined(halves(parts.scale), by_block(codes, 32) ^ np.uint8(128))


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 34) uint8, each by itself."""
    blocks = blocks_of(weights, BLOCK)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    exact = blocks * reciprocal(scale)
    size = np.abs(exact)
    codes = np.floor(size)
    codes += size - codes >= np.float32(0.5)  # halves away from zero
    codes = np.copysign(codes, exact).astype(np.int8)
    return np.concatenate([float16_bytes(scale), codes.view(np.uint8)], axis=-1)
