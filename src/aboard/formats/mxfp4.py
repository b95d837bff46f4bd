"""MXFP4: 32 weights of 4-bit floats share a power of two; 17 bytes a block (4.25 bits a weight).

Byte 0 is the exponent, stored + 127; byte 1+i holds weight i (low nibble) and weight i+16 (high),
each a sign and an e2m1 float (OCP Microscaling Formats 1.0). The codes are the doubled values and
the scale is half the power of two, so that both are exact.

The exponent 255 is NaN by the standard; 253 and 254 lead to weights beyond float32. Their scales
come out as NaN and infinity, which `check_scales` refuses.
"""

from __future__ import annotations

import numpy as np

from aboard.formats._blocks import Blocks, Bytes, Float32
from aboard.formats._fields import bit_fields, by_weight, require_blocks

NAME = "MXFP4"
GGML_TYPE = 39
BLOCK = 32
BLOCK_BYTES = 17
SUB_BLOCK = 32

VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
MAX_EXPONENT = 252


def unpack(packed: Bytes) -> Blocks:
    """Codes (entries of `VALUES`) and scales of `packed`, (..., n_blocks, 17) uint8."""
    require_blocks(packed, BLOCK_BYTES)
    codes = np.array(VALUES, np.int8)[bit_fields(packed[..., 1:], 4)]
    scales = _half_powers()[packed[..., 0:1]]
    return Blocks(codes=by_weight(codes, packed), scale=by_weight(scales, packed))


def decode(packed: Bytes) -> Float32:
    """Weights of `packed`: (..., n_blocks, 17) uint8 -> (..., K) float32."""
    return unpack(packed).weights()


def _half_powers() -> Float32:
    """2 ** (e - 128) for each exponent byte e, (256,) float32; the smallest are subnormal."""
    powers = np.ldexp(np.float32(1), np.arange(256) - 128).astype(np.float32)
    powers[MAX_EXPONENT + 1 : 255] = np.inf
    powers[255] = np.nan
    return powers
