"""IQ4_NL: 32 weights share one float16 scale; 18 bytes a block (4.5 bits a weight).

Bytes 0-1 scale; byte 2+i holds weight i (low nibble) and weight i+16 (high), each the index of one
of sixteen unevenly spaced values.
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
from aboard.formats._rounding import nibbles

NAME = "IQ4_NL"
GGML_TYPE = 20
BLOCK = 32
BLOCK_BYTES = 18
SUB_BLOCK = 32

VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
LEVELS = VALUES


def unpack(packed: Bytes) -> Blocks:
    """Codes (entries of `VALUES`) and scales of `packed`, (..., n_blocks, 18) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    codes = np.array(VALUES, np.int8)[bit_fields(packed[..., 2:], 4)]
    return Blocks(
        codes=by_weight(codes, packed), scale=by_weight(float16(packed[..., 0:2]), packed)
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 18) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 18) uint8."""
    return joined(halves(parts.scale), nibbles(by_block(codes, 32)))
