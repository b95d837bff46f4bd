"""Random weights of every block format, made as bytes: any bits that a block may hold.

The scales are such that the decoded weights have about the standard deviation asked for, so that
a model of them has finite, lively logits. All draws are taken from the raw words of PCG64, whose
sequence NumPy promises to keep; its distributions may change.
"""

from collections.abc import Callable

import numpy as np

from tiny_gguf import Tensor

BLOCK_SIZES = {
    **dict.fromkeys(("F32", "F16", "BF16"), 1),
    **dict.fromkeys(("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "MXFP4"), 32),
    **dict.fromkeys(("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"), 256),
}
FORMATS = tuple(BLOCK_SIZES)


class Random:
    """Draws that are the same for a seed with every version of NumPy."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.PCG64(seed)

    def bytes(self, *shape: int) -> np.ndarray:
        """Any bytes, as uint8 of this shape."""
        size = int(np.prod(shape))
        return self._words.random_raw(-(-size // 8)).view(np.uint8)[:size].reshape(shape)

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Between `low` and `high`, as float32 of this shape."""
        unit = (self._words.random_raw(int(np.prod(shape))) >> np.uint64(40)) * 2.0**-24
        return (low + (high - low) * unit).astype(np.float32).reshape(shape)

    def weights(self, std: float, *shape: int) -> np.ndarray:
        """Uniform around zero with this standard deviation, as float32 of this shape."""
        return self.uniform(-(3**0.5) * std, 3**0.5 * std, *shape)


def random_tensor(fmt: str, rows: int, cols: int, std: float, random: Random) -> Tensor:
    """A (rows, cols) tensor of random blocks; `cols` is a multiple of the format's block."""
    n_blocks, rest = divmod(rows * cols, BLOCK_SIZES[fmt])
    assert cols % BLOCK_SIZES[fmt] == rest == 0, f"{fmt} needs rows of {BLOCK_SIZES[fmt]}"
    if BLOCK_SIZES[fmt] == 1:
        data = _FLOATS[fmt](random.weights(std, rows * cols))
    else:
        data = np.hstack(_BLOCKS[fmt](random, n_blocks, std)).tobytes()
    return Tensor(fmt, (rows, cols), data)


def _halves(values: np.ndarray) -> np.ndarray:
    return values.astype("<f2").view(np.uint8).reshape(len(values), 2)


def _scales(random: Random, n: int, typical: float) -> np.ndarray:
    """Float16 scales of either sign, 0.6 to 1.4 times the typical size."""
    sizes = random.uniform(0.6 * typical, 1.4 * typical, n)
    return np.where(random.bytes(n) & 1, sizes, -sizes)


def _around_zero(codes_size: int, unit: float) -> Callable[..., list[np.ndarray]]:
    """Blocks of one float16 scale and codes; `unit`: the deviation for a scale of 1."""

    def blocks(random: Random, n: int, std: float) -> list[np.ndarray]:
        return [_halves(_scales(random, n, std / unit)), random.bytes(n, codes_size)]

    return blocks


def _with_minimum(codes_size: int, unit: float, centre: float) -> Callable[..., list[np.ndarray]]:
    """Blocks of scale, minimum and codes. The minimum nearly cancels the codes' mean, `centre`."""

    def blocks(random: Random, n: int, std: float) -> list[np.ndarray]:
        scale = _scales(random, n, std / unit)
        minimum = -centre * scale * random.uniform(0.9, 1.1, n)
        return [_halves(scale), _halves(minimum), random.bytes(n, codes_size)]

    return blocks


def _q2_k(random: Random, n: int, std: float) -> list[np.ndarray]:
    scale = _scales(random, n, std / 14.4)
    codes, minimum = random.bytes(n, 80), 1.5 * scale
    return [codes, _halves(scale), _halves(minimum)]


def _q4_k(random: Random, n: int, std: float, codes_size: int = 140, unit: float = 280.0) -> list:
    scale = _scales(random, n, std / unit)
    minimum = (7.5 if codes_size == 140 else 15.5) * scale
    return [_halves(scale), _halves(minimum), random.bytes(n, codes_size)]


def _q5_k(random: Random, n: int, std: float) -> list[np.ndarray]:
    return _q4_k(random, n, std, codes_size=172, unit=570.0)


def _scale_last(codes_size: int, unit: float) -> Callable[..., list[np.ndarray]]:
    def blocks(random: Random, n: int, std: float) -> list[np.ndarray]:
        return [random.bytes(n, codes_size), _halves(_scales(random, n, std / unit))]

    return blocks


def _mxfp4(random: Random, n: int, std: float) -> list[np.ndarray]:
    exponent = 127 + round(np.log2(std / 2.9)) + random.bytes(n) % 3 - 1
    return [exponent.astype(np.uint8).reshape(n, 1), random.bytes(n, 16)]


def _bf16(values: np.ndarray) -> bytes:
    return (values.view(np.uint32) >> 16).astype("<u2").tobytes()


_FLOATS = {
    "F32": lambda values: values.astype("<f4").tobytes(),
    "F16": lambda values: values.astype("<f2").tobytes(),
    "BF16": _bf16,
}
_BLOCKS: dict[str, Callable[..., list[np.ndarray]]] = {
    "Q4_0": _around_zero(16, unit=4.6),
    "Q4_1": _with_minimum(16, unit=4.6, centre=7.5),
    "Q5_0": _around_zero(20, unit=9.2),
    "Q5_1": _with_minimum(20, unit=9.2, centre=15.5),
    "Q8_0": _around_zero(32, unit=74.0),
    "Q2_K": _q2_k,
    "Q3_K": _scale_last(108, unit=42.4),
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _scale_last(208, unit=1370.0),
    "IQ4_NL": _around_zero(16, unit=71.0),
    "IQ4_XS": _around_zero(134, unit=1300.0),
    "MXFP4": _mxfp4,
}
