"""IQ4_XS: 8 sub-blocks of 32 weights; 136 bytes a block of 256 (4.25 bits a weight).

Bytes 0-1 hold the float16 factor of the scales. Eight 6-bit scales, stored + 32: the bits 2i and
2i+1 of the 16-bit integer in bytes 2-3 are the upper two of scale i, the nibbles of bytes 4-7 the
low four (low nibble first). Bytes 8-135: each 16 bytes hold 32 weights, byte l weight l (low
nibble) and weight 16 + l (high), each the index of one of IQ4_NL's sixteen values.
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
from aboard.formats.iq4_nl import VALUES

NAME = "IQ4_XS"
GGML_TYPE = 23
BLOCK = 256
BLOCK_BYTES = 136
SUB_BLOCK = 32
LEVELS = VALUES


def unpack(packed: Bytes) -> Blocks:
    """Codes (entries of `VALUES`) and scales of `packed`, (..., n_blocks, 136) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    codes = np.array(VALUES, np.int8)[bit_fields(split(packed[..., 8:136], 8), 4)]
    factors = _six_bit_scales(packed[..., 2:4], packed[..., 4:8])
    return Blocks(
        codes=by_weight(codes, packed),
        scale=by_weight(product(float16(packed[..., 0:2]), factors), packed),
    )


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 136) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def pack(parts: Parts, codes: Bytes) -> Bytes:
    """Blocks of `parts` and `codes`, (..., K) uint8 -> (..., n_blocks, 136) uint8."""
    factors = by_block(parts.factor, 8)
    nibble_rows = nibbles(by_block(codes, 8, 32))
    return joined(halves(parts.scale), _factor_fields(factors), flat(nibble_rows))


def _six_bit_scales(upper: Bytes, lower: Bytes) -> npt.NDArray[np.int8]:
    """The eight scales, -32 to 31: (..., 2) and (..., 4) uint8 -> (..., 8) int8."""
    shape = (*lower.shape[:-1], 8)
    low = bit_fields(lower, 4).swapaxes(-1, -2).reshape(shape)
    high = bit_fields(upper, 2).swapaxes(-1, -2).reshape(shape)
    scales: npt.NDArray[np.int8] = (low | high << np.uint8(4)).view(np.int8) - np.int8(32)
    return scales


def _factor_fields(factors: Bytes) -> Bytes:
    """What `_six_bit_scales` reads: (..., 8) int8 as bytes -> (..., 6)."""
    stored = factors + np.uint8(32)
    upper = (stored >> np.uint8(4)).reshape(*stored.shape[:-1], 2, 4).swapaxes(-1, -2)
    lower = (stored & np.uint8(15)).reshape(*stored.shape[:-1], 4, 2).swapaxes(-1, -2)
    return joined(joined_fields(upper, 2), joined_fields(lower, 4))
