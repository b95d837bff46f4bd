"""BF16: each weight is the upper half of a float32, little-endian; 2 bytes a block of one
(16 bits a weight).
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import require_blocks

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
