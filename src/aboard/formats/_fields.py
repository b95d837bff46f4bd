"""The fields that blocks are made of: float16 scales, nibbles, bits, 6-bit scales.

Fields are slices of packed blocks, (..., n_blocks, bytes) uint8; what comes back keeps the leading
axes. `by_weight` at last joins the axes of a block into one along the row.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aboard.errors import UsageError
from aboard.formats._blocks import Bytes, Float32

Number = TypeVar("Number", np.int8, np.uint8, np.float32)


def require_blocks(packed: Bytes, block_bytes: int) -> None:
    """Nothing, where `packed` is (..., n_blocks, block_bytes) uint8; UsageError otherwise."""
    if packed.dtype != np.uint8 or packed.ndim < 2 or packed.shape[-1] != block_bytes:
        raise UsageError(
            f"packed blocks are {packed.shape} {packed.dtype}, "
            f"expected (..., n_blocks, {block_bytes}) uint8"
        )


def by_weight(parts: npt.NDArray[Number], packed: Bytes) -> npt.NDArray[Number]:
    """`parts`, (..., n_blocks, a, b, ...), with the axes from the blocks on joined into one."""
    leading = packed.ndim - 2
    return parts.reshape(*parts.shape[:leading], math.prod(parts.shape[leading:]))


def float16(field: Bytes) -> Float32:
    """The float16 numbers of `field`, (..., 2n) -> (..., n) float32, exactly."""
    with np.errstate(invalid="ignore"):  # a NaN is for check_scales to find
        return np.ascontiguousarray(field).view("<f2").astype(np.float32)


def product(scale: Float32, factor: npt.NDArray[np.int8] | Bytes) -> Float32:
    """`scale` times the integers `factor`: one float32 multiplication each."""
    with np.errstate(invalid="ignore"):
        return scale * factor.astype(np.float32)


def bit_fields(field: Bytes, width: int) -> Bytes:
    """The fields of `width` bits of each byte, lowest first: (..., n) -> (..., 8 / width, n)."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    return (field[..., None, :] >> shifts) & np.uint8((1 << width) - 1)


def joined_fields(fields: Bytes, width: int) -> Bytes:
    """Bytes of fields of `width` bits, lowest first: (..., 8 / width, n) -> (..., n)."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    joint: Bytes = np.bitwise_or.reduce(fields << shifts, axis=-2)
    return joint


def by_block(codes: npt.NDArray[np.uint8] | npt.NDArray[np.int8] | None, *axes: int) -> Bytes:
    """`codes`, (..., K), as bytes (..., n_blocks, *axes): the weights of a block along axes.

    A format that has such a field never gets None for it.
    """
    assert codes is not None
    blocks = codes.shape[-1] // math.prod(axes)
    return codes.view(np.uint8).reshape(*codes.shape[:-1], blocks, *axes)


def halves(scale: npt.NDArray[np.float16] | None) -> Bytes:
    """(..., n) float16 as fields, (..., n, 2)."""
    assert scale is not None
    return np.ascontiguousarray(scale, "<f2")[..., None].view(np.uint8)


def flat(field: Bytes) -> Bytes:
    """A field's two axes as one: (..., a, b) -> (..., a * b)."""
    return field.reshape(*field.shape[:-2], field.shape[-2] * field.shape[-1])


def joined(*fields: Bytes) -> Bytes:
    """The fields of blocks, each (..., n), one after another."""
    return np.concatenate(fields, axis=-1)


def split(field: Bytes, parts: int) -> Bytes:
    """The bytes of `field` in equal parts: (..., n) -> (..., parts, n / parts)."""
    return field.reshape(*field.shape[:-1], parts, field.shape[-1] // parts)


def six_bit_pairs(field: Bytes) -> tuple[Bytes, Bytes]:
    """The eight scales and eight minimums of Q4_K and Q5_K: (..., 12) -> two of (..., 8).

    Bytes 0-3 hold scales 0-3 in their low six bits, bytes 4-7 minimums 0-3; bytes 8-11 hold the low
    nibbles of scales 4-7 (low) and of minimums 4-7 (high), whose upper two bits are the top bits of
    bytes 0-3 and 4-7.
    """
    first, second, third = field[..., 0:4], field[..., 4:8], field[..., 8:12]
    scales = [first & 63, (third & 15) | ((first >> 6) << 4)]
    minimums = [second & 63, (third >> 4) | ((second >> 6) << 4)]
    return np.concatenate(scales, axis=-1), np.concatenate(minimums, axis=-1)


def nibble_pairs(low: Bytes, high: Bytes) -> Bytes:
    """Numbers of four bits, two in a byte: two of (..., n) -> (..., n)."""
    return low | (high << np.uint8(4))


def six_bit_fields(scales: Bytes, minimums: Bytes) -> Bytes:
    """What `six_bit_pairs` reads: two of (..., 8), numbers of six bits, -> (..., 12)."""
    first = (scales[..., :4] & 63) | (scales[..., 4:] >> 4 << 6)
    second = (minimums[..., :4] & 63) | (minimums[..., 4:] >> 4 << 6)
    third = (scales[..., 4:] & 15) | (minimums[..., 4:] << 4)
    return np.concatenate([first, second, third], axis=-1)
