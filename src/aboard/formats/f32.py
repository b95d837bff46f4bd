"""F32: each weight is a little-endian float32; 4 bytes a block of one (32 bits a weight)."""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import require_blocks
from aboard.formats._rounding import blocks_of

NAME = "F32"
GGML_TYPE = 0
BLOCK = 1
BLOCK_BYTES = 4
SUB_BLOCK = 1


def unpack(packed: Bytes) -> Blocks:
    """The weights of `packed`, (..., K, 4) uint8, as scales of codes that are all 1."""
    weights = decode(packed)
    return Blocks(codes=np.ones(weights.shape, np.int8), scale=weights)


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., K, 4) uint8 -> (..., K) float32."""
    require_blocks(packed, BLOCK_BYTES)
    return np.ascontiguousarray(packed).view("<f4")[..., 0].astype(np.float32)


def encode(weights: Float32) -> Bytes:
    """Blocks of `weights`, (..., K) float32 -> (..., n_blocks, 4) uint8, each by itself."""
    return np.ascontiguousarray(blocks_of(weights, BLOCK), "<f4").view(np.uint8)
