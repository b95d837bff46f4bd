"""Numbers rounded to blocks, each by itself: what the `encode` of a format is made of.

The rules are ggml's reference rules (`quantize_row_*_ref`), to the bit, but where the reciprocal of
a scale is beyond float32: there all codes stand for zero, as the scale itself is zero in float16.
"""

from __future__ import annotations

import numpy as np

from aboard.errors import UsageError
from aboard.formats._blocks import Bytes, Float32


def blocks_of(weights: Float32, block: int) -> Float32:
    """`weights`, (..., K) float32, as (..., K / block, block)."""
    if weights.dtype != np.float32 or weights.ndim < 1 or weights.shape[-1] % block:
        raise UsageError(
            f"weights are {weights.shape} {weights.dtype}, "
            f"expected float32 rows of a multiple of {block}"
        )
    return weights.reshape(*weights.shape[:-1], weights.shape[-1] // block, block)


def symmetric(blocks: Float32, highest: int) -> tuple[Float32, Bytes]:
    """Scales (..., 1), and codes 0 to 2 * highest - 1 that stand for themselves less `highest`.

    The weight of the largest magnitude becomes the lowest code exactly.
    """
    at = np.abs(blocks).argmax(axis=-1, keepdims=True)
    scale = np.take_along_axis(blocks, at, axis=-1) / np.float32(-highest)
    codes = np.trunc(blocks * reciprocal(scale) + np.float32(highest + 0.5))
    return scale, codes.clip(0, 2 * highest - 1).astype(np.uint8)


def affine(blocks: Float32, highest: int) -> tuple[Float32, Float32, Bytes]:
    """Scales and minimums, each (..., 1), and codes 0 to `highest`."""
    minimum = blocks.min(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # a scale beyond float16 is refused when it is stored
        scale = (blocks.max(axis=-1, keepdims=True) - minimum) / np.float32(highest)
        codes = np.trunc((blocks - minimum) * reciprocal(scale) + np.float32(0.5))
    return scale, minimum, codes.clip(0, highest).astype(np.uint8)


def reciprocal(scale: Float32) -> Float32:
    """1 / `scale`, and 0 where that is no number."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / scale
    return np.where(np.isfinite(inverse), inverse, np.float32(0))


def float16_bytes(values: Float32) -> Bytes:
    """`values`, (..., n) float32, as (..., 2n) bytes; UsageError where one is too big."""
    with np.errstate(over="ignore"):
        halves = values.astype("<f2")
    require_finite(np.isfinite(halves), values, "float16")
    return np.ascontiguousarray(halves).view(np.uint8)


def require_finite(finite: np.ndarray, values: Float32, kind: str) -> None:
    """Nothing, where all of `finite` is true; otherwise a UsageError that tells the value."""
    if not finite.all():
        value = values.reshape(-1)[int(np.argmin(finite.reshape(-1)))]
        raise UsageError(f"{value:g} is beyond the range of {kind}")


def nibbles(codes: Bytes) -> Bytes:
    """The low four bits of (..., 2n) codes: byte i has code i (low) and code i + n (high)."""
    half = codes.shape[-1] // 2
    return (codes[..., :half] & np.uint8(15)) | (codes[..., half:] << np.uint8(4))


def fifth_bits(codes: Bytes) -> Bytes:
    """Bit 4 of (..., 32) codes, that of code i as bit i of four bytes."""
    return np.packbits(codes >> np.uint8(4), axis=-1, bitorder="little")
