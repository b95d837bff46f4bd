"""The types of weights in safetensors files: their sizes, and what their bytes are in float32.

Each type that the format has is here, so that a file can be listed; `decode` reads those that
weights come in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.errors import UnsupportedFile

Bytes = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


def decode(form: str, raw: Bytes) -> Float32:
    """Weights of `raw`, flat bytes of the type `form`, as float32.

    All but F64 exactly; F64 is rounded to the nearest, and to infinity beyond the range of float32.

    Raises
    ------
    UnsupportedFile
        Weights don't come in this type.
    """
    reader = _READERS.get(form)
    if reader is None:
        raise UnsupportedFile(f"weights of type {form}, expected one of {', '.join(WEIGHT_TYPES)}")
    return reader(raw)


def _numbers(dtype: str) -> Callable[[Bytes], Float32]:
    def read(raw: Bytes) -> Float32:
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what isn't finite
            return raw.view(dtype).astype(np.float32)

    return read


def _bfloat16(raw: Bytes) -> Float32:
    upper = raw.view("<u2").astype(np.uint32)
    return (upper << np.uint32(16)).view(np.float32)


def _small_floats(exponent_bits: int, *, has_infinity: bool) -> Callable[[Bytes], Float32]:
    """Eight-bit floats (arXiv:2209.05433). E4M3 has no infinity: only all ones is NaN."""
    mantissa_bits = 7 - exponent_bits
    codes = np.arange(256)
    sign = np.where(codes < 128, 1.0, -1.0)
    exponent = codes >> mantissa_bits & (1 << exponent_bits) - 1
    fraction = (codes & (1 << mantissa_bits) - 1) / (1 << mantissa_bits)
    bias = (1 << exponent_bits - 1) - 1
    power = np.ldexp(1.0, np.maximum(exponent, 1) - bias)
    values = sign * power * (fraction + (exponent > 0))
    if has_infinity:
        highest = exponent == (1 << exponent_bits) - 1
        values = np.where(highest, np.where(fraction == 0, sign * np.inf, np.nan), values)
    else:
        values = np.where(codes & 127 == 127, np.nan, values)
    table: npt.NDArray[Any] = values.astype(np.float32)
    return lambda raw: table[raw]


_READERS: dict[str, Callable[[Bytes], Float32]] = {
    "F64": _numbers("<f8"),
    "F32": _numbers("<f4"),
    "F16": _numbers("<f2"),
    "BF16": _bfloat16,
    "F8_E4M3": _small_floats(4, has_infinity=False),
    "F8_E5M2": _small_floats(5, has_infinity=True),
    "I8": _numbers("<i1"),
    "U8": _numbers("<u1"),
}
WEIGHT_TYPES = tuple(_READERS)
