"""F16: each weight is a little-endian float16; 2 bytes a block of one (16 bits a weight)."""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import float16, require_blocks
from aboard.formats._rounding import blocks_of, float16_bytes

NAME = "F16"
GGML_TYPE = 1
BLOCK = 1
BLOCK_BYTES = 2
SUB_BLOCK = 1


def unpack(packed: Bytes) -> Blocks:
    """The weights of `packed`, (..., K, 2) uint8, as scales of codes that are all 1."""
    weights = decode(packed)
    return Blocks(codes=np.ones(weights.shape, np.int8), scale=weights)


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., K, 2) uint8 -> (..., K) float32."""
    require_blocks(packed, BLOCK_BYTES)
    return float16(packed)[..., 0]


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 2) uint8, each by itself."""
    return float16_bytes(blocks_of(weights, BLOCK))
