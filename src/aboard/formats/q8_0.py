"""Q8_0: 32 weights share one float16 scale; 34 bytes a block (8.5 bits a weight).

Bytes 0-1 scale; byte 2+i is weight i as int8.
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import by_weight, float16, require_blocks

NAME = "Q8_0"
GGML_TYPE = 8
BLOCK = 32
BLOCK_BYTES = 34
SUB_BLOCK = 32


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
