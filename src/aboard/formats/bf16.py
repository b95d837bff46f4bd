"""BF16: each weight is the upper half of a float32, little-endian; 2 bytes a block of one
(16 bits a weight).
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import require_blocks
from aboard.formats._rounding import blocks_of, require_finite

NAME = "BF16"
GGML_TYPE = 30
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
    upper = np.ascontiguousarray(packed).view("<u2")[..., 0].astype(np.uint32)
    return (upper << np.uint32(16)).view(np.float32)


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 2) uint8, each by itself."""
    bits = np.ascontiguousarray(blocks_of(weights, BLOCK)).view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))  # halves to the even
    upper = ((bits + half) >> np.uint32(16)).astype("<u2")
    require_finite((upper & 0x7F80) != 0x7F80, weights, "bfloat16")
    return upper.view(np.uint8)
