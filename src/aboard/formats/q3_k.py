"""Q3_K: 16 sub-blocks of 16 weights; 110 bytes a block of 256 (3.4375 bits a weight).

Bytes 0-31: bit j of byte l is the third bit of weight 32j + l. Bytes 32-95: each 32 bytes hold the
low two bits of 128 weights, the bits 2j and 2j+1 of byte l being weight 32j + l. A weight is stored
+ 4. Bytes 96-107 hold sixteen 6-bit scales, stored + 32: the nibbles of bytes 96-103 are the low
four bits of scales 0-7 (low) and 8-15 (high), the bits 2j and 2j+1 of byte 104+i the upper two of
scale 4j + i. Bytes 108-109 hold the float16 factor of the scales.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import (
    bit_fields,
    by_block,
    by_weight,
    flat,
    float16,
    halves,
    joined,
    joined_fields,
    product,
    require_blocks,
    split,
)
from aboard.formats._parts import Parts
from aboard.formats._rounding import nibbles

NAME = "Q3_K"
GGML_TYPE = 11
BLOCK = 256
BLOCK_BYTES = 110
SUB_BLOCK = 16
LEVELS = tuple(range(-4, 4))


def unpack(packed: Bytes) -> Blocks:
    """Codes -4 to 3 and scales of `packed`, (..., n_blocks, 110) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    high = by_weight(bit_fields(packed[..., 0:32], 1), packed)
    low = by_weight(bit_fields(split(packed[..., 32:96], 2), 2), packed)
    codes = (low | high << np.uint8(2)).view(np.int8) - np.int8(4)
    factors = _six_bit_scales(packed[..., 96:108])
    return Blocks(
        codes=codes, scale=by_weight(product(float16(packed[..., 108:110]), factors), packed)
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 110) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 110) uint8."""
    high = joined_fields(by_block(codes, 8, 32) >> np.uint8(2), 1)
    low = joined_fields(by_block(codes, 2, 4, 32) & np.uint8(3), 2)
    factors = _factor_fields(by_block(parts.factor, 16))
    return joined(high, flat(low), factors, halves(parts.scale))


def _six_bit_scales(field: Bytes) -> npt.NDArray[np.int8]:
    """The sixteen scales, -32 to 31: (..., 12) uint8 -> (..., 16) int8."""
    shape = (*field.shape[:-1], 16)
    low = bit_fields(field[..., 0:8], 4).reshape(shape)
    high = bit_fields(field[..., 8:12], 2).reshape(shape)
    scales: npt.NDArray[np.int8] = (low | high << np.uint8(4)).view(np.int8) - np.int8(32)
    return scales


def _factor_fields(factors: Bytes) -> Bytes:
    """What `_six_bit_scales` reads: (..., 16) int8 as bytes -> (..., 12)."""
    stored = factors + np.uint8(32)
    upper = (stored >> np.uint8(4)).reshape(*stored.shape[:-1], 4, 4)
    return joined(nibbles(stored), joined_fields(upper, 2))
