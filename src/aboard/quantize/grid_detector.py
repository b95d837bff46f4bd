"""Weights that lie on the grid of a block format already, kept to the bit.

Checkpoints of quantisation-aware training and files that someone dequantised hold float numbers of
which each is a scale times a small integer. Rounding those to a grid of one's own loses for
nothing: here the scales are found again, exactly, and with them the blocks.

Whatever a block format stores, a weight is an integer number of `UNIT`, the smallest float16: so
scales are found as greatest common divisors. Weights of 1 and more may have been rounded when they
were dequantised; a block of those with a minimum is then not recognised.

>>> from aboard import formats
>>> weights = np.array([[-8, 3, 7, 0] * 8], np.float32) / 64
>>> detect_grid(weights).format
'Q4_0'
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.formats import Grid, Parts

Float32 = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNIT = 2.0**-24
FLOAT16_MOST = 65504 * 2**24  # in units
SAMPLE_WEIGHTS = 1 << 14
SHARED = 8  # divisors that all codes of a block, times their factors, may have in common
FACTORS = {  # lowest and highest
    "Q2_K": (0, 15),
    "Q3_K": (-32, 31),
    "Q4_K": (0, 63),
    "Q5_K": (0, 63),
    "Q6_K": (-128, 127),
    "IQ4_XS": (-32, 31),
}


@dataclass(frozen=True, slots=True)
class OnGrid:
    """What weights were found to be: blocks of `format`, (R, D / BLOCK, BLOCK_BYTES) uint8."""

    format: str
    blocks: Bytes


def detect_grid(weights: Float32) -> OnGrid | None:
    """The smallest format whose blocks decode to precisely `weights`, and these blocks.

    Parameters
    ----------
    weights : (R, D) float32
        Finite. A few rows are looked at first: what lies on no grid costs little.

    Returns
    -------
    OnGrid, or None
        None where no format does; also of zeros alone, which lie on every grid.
    """
    if not weights.any():
        return None
    stride = max(weights.size // SAMPLE_WEIGHTS, 1)
    sample = weights[::stride][: max(SAMPLE_WEIGHTS // weights.shape[1], 1)]
    for name in formats.searchable():
        if weights.shape[1] % formats.by_name(name).BLOCK or exact_blocks(name, sample) is None:
            continue
        blocks = exact_blocks(name, weights)
        if blocks is not None:
            return OnGrid(name, blocks)
    return None


def exact_blocks(name: str, weights: Float32) -> Bytes | None:
    """Blocks of the format `name` that decode to precisely `weights`, or None.

    Zeros may come back with the other sign.

    Parameters
    ----------
    name : str
        One of `formats.searchable()`.
    weights : (R, D) float32
        D a multiple of the format's BLOCK.
    """
    form = formats.packer(name)
    with np.errstate(over="ignore"):
        scaled = weights.astype(np.float64) / UNIT
    if np.abs(scaled).max(initial=0) >= 2.0**52 or (scaled != np.rint(scaled)).any():
        return None
    blocks = scaled.astype(np.int64).reshape(-1, form.BLOCK // form.SUB_BLOCK, form.SUB_BLOCK)
    find = _affine_parts if formats.is_affine(form) else _symmetric_parts
    found = find(name, blocks)
    if found is None:
        return None
    by_row = weights.shape[0], -1
    parts = Parts(**{key: value.reshape(by_row) for key, value in found.items()})
    grid = formats.grid_of(form, parts)
    codes = formats.nearest_codes(grid, weights)
    return formats.pack(grid, codes) if _same(grid, codes, weights) else None


Fields = dict[str, np.ndarray]


def _same(grid: Grid, codes: Bytes, weights: Float32) -> bool:
    return bool((grid.weights(codes) == weights).all())


def _symmetric_parts(name: str, blocks: Integers) -> Fields | None:
    """Scales (and factors) of `blocks`, (n, groups, group), a scale times a level each."""
    levels = np.array(formats.packer(name).LEVELS, np.int64)
    if not _within(blocks, np.gcd.reduce(blocks, axis=2), int(np.abs(levels).max())):
        return None
    shared = np.gcd.reduce(blocks.reshape(len(blocks), -1), axis=1)
    scale = np.zeros(len(blocks), np.int64)
    factor = np.zeros(blocks.shape[:2], np.int64)
    open_ = shared > 0
    limit = int(np.abs(levels).max()) if name not in FACTORS else SHARED
    for divisor, sign in itertools.product(range(1, limit + 1), (1, -1)):
        if not open_.any():
            break
        at = np.flatnonzero(open_)
        unit = sign * shared[at] // divisor
        fits = (shared[at] % divisor == 0) & _is_float16(unit)
        multiples = blocks[at] // np.where(fits, unit, 1)[:, None, None]
        factors, sound = _factors_of(name, multiples, levels)
        fits &= sound
        scale[at[fits]], factor[at[fits]] = unit[fits], factors[fits]
        open_[at[fits]] = False
    if open_.any():
        return None
    fields: Fields = {"scale": _float16(scale)}
    return fields | ({"factor": factor.astype(np.int8)} if name in FACTORS else {})


def _within(groups: Integers, steps: Integers, highest: int) -> bool:
    """Whether all of `groups`, (n, groups, group), are at most `highest` steps of their own."""
    return bool((np.abs(groups).max(axis=2, initial=0) <= highest * steps).all())


def _factors_of(name: str, multiples: Integers, levels: Integers) -> tuple[Integers, Flags]:
    """The factor of each group, (n, groups), and whether all of a block, (n,), have one."""
    if name not in FACTORS:
        return np.ones(multiples.shape[:2], np.int64), _every(np.isin(multiples, levels))
    low, high = FACTORS[name]
    shared = np.gcd.reduce(multiples, axis=2)
    factors = np.zeros_like(shared)
    open_ = shared > 0
    for divisor, sign in itertools.product(range(1, int(np.abs(levels).max()) + 1), (1, -1)):
        at = np.flatnonzero(open_.reshape(-1))
        if not at.size:
            break
        factor = sign * shared.reshape(-1)[at] // divisor
        fits = (shared.reshape(-1)[at] % divisor == 0) & (low <= factor) & (factor <= high)
        groups = multiples.reshape(-1, multiples.shape[2])[at]
        fits &= np.isin(groups // np.where(fits, factor, 1)[:, None], levels).all(axis=1)
        factors.reshape(-1)[at[fits]] = factor[fits]
        open_.reshape(-1)[at[fits]] = False
    return factors, _every(~open_)


def _affine_parts(name: str, blocks: Integers) -> Fields | None:
    """Scales and minimums (and their factors) of `blocks`, (n, groups, group)."""
    fields: Fields = {}
    open_ = np.ones(len(blocks), bool)
    for sign, minimum_sign in itertools.product((1, -1), (1, -1)):
        if name not in FACTORS and minimum_sign < 0:
            continue  # a minimum of its own has any sign
        at = np.flatnonzero(open_)
        if not at.size:
            break
        lines = _Lines.of(name, blocks[at] * sign)
        if lines is None:
            return None
        found, fits = lines.parts(sign * minimum_sign)
        found["scale"] *= sign
        found["minimum"] *= minimum_sign
        for key, values in found.items():
            whole = fields.setdefault(key, np.zeros((len(blocks), *values.shape[1:]), np.int64))
            whole[at[fits]] = values[fits]
        open_[at[fits]] = False
    if open_.any():
        return None
    return {key: _packed_field(key, values) for key, values in fields.items()}


def _packed_field(key: str, values: Integers) -> np.ndarray:
    kinds: dict[str, Callable[[Integers], np.ndarray]] = {
        "scale": _float16,
        "minimum": _float16,
        "factor": lambda x: x.astype(np.int8),
        "minimum_factor": lambda x: x.astype(np.uint8),
    }
    return kinds[key](values)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Groups as multiples of a positive scale above their lowest weight.

    Attributes
    ----------
    low : (n, groups)
        The lowest weight of each.
    scale : (n,)
        Of the block; 0 where none of the groups has two different weights.
    factor, span : (n, groups)
        The step of a group is scale * factor; its highest weight is `span` steps above the lowest.
    sound : (n,)
        Whether factors and spans are within the format's.
    """

    name: str
    low: Integers
    scale: Integers
    factor: Integers
    span: Integers
    sound: Flags

    @classmethod
    def of(cls, name: str, blocks: Integers) -> _Lines | None:
        """The lines of `blocks`; None where the weights of a group are no line of the format's."""
        highest = len(formats.packer(name).LEVELS) - 1
        low = blocks.min(axis=2)
        above = blocks - low[..., None]
        steps = np.gcd.reduce(above, axis=2)
        if not _within(above, steps, highest):
            return None
        shared = np.gcd.reduce(steps, axis=1)
        most = FACTORS.get(name, (0, 1))[1]
        scale, sound = shared.copy(), np.zeros(len(blocks), bool)
        for divisor in range(1, SHARED + 1):
            unit = shared // divisor
            fits = ~sound & (shared % divisor == 0) & _is_float16(unit)
            scale = np.where(fits, unit, scale)
            sound |= fits
        factor = steps // np.maximum(scale, 1)[:, None]
        if name not in FACTORS:
            factor = np.minimum(factor, 1)
        # Codes that have a divisor in common: a factor beyond the highest is split.
        whole = factor
        for divisor in range(2, highest + 1):
            split = (factor > most) & (whole % divisor == 0)
            factor = np.where(split, whole // divisor, factor)
        step = np.maximum(factor * scale[:, None], 1)
        span = above.max(axis=2) // step
        sound &= ((factor <= most) & (span <= highest)).all(axis=1)
        return cls(name, low, scale, factor, span, sound)

    def parts(self, sign: int) -> tuple[Fields, Flags]:
        """Minimums by which the lowest weight of each group is a code of its line, after all.

        Of a format with factors it is step * code - sign * minimum * factor; else scale * code +
        sign * minimum. What is found of the blocks, and which blocks are found.
        """
        if self.name not in FACTORS:
            minimum, found = self._minimums_alone()
            return {"scale": self.scale[:, None], "minimum": sign * minimum}, self.sound & found
        minimum = np.zeros_like(self.scale)
        minimum_factor = np.zeros_like(self.low)
        factor = self.factor.copy()
        open_ = self.sound.copy()
        for candidate in self._minimums():
            if not open_.any():
                break
            at = np.flatnonzero(open_ & (candidate >= 0) & _is_float16(candidate))
            below, above, fits = self._minimum_factors(at, sign * candidate[at])
            at = at[fits]
            minimum[at], minimum_factor[at], factor[at] = candidate[at], below[fits], above[fits]
            open_[at] = False
        scales = {"scale": self.scale[:, None], "factor": factor}
        minimums = {"minimum": minimum[:, None], "minimum_factor": minimum_factor}
        return scales | minimums, self.sound & ~open_

    def _minimums_alone(self) -> tuple[Integers, Flags]:
        """The first float16 of low, low - scale, ..., (n, 1), and whether there is one, (n,)."""
        highest = len(formats.packer(self.name).LEVELS) - 1
        codes = np.arange(highest + 1)
        minimums = self.low - self.scale[:, None] * codes
        fits = _is_float16(minimums) & (codes <= highest - self.span)
        at = fits.argmax(axis=1)[:, None]
        return np.take_along_axis(minimums, at, axis=1), ~_every(~fits)

    def _minimums(self) -> Iterator[Integers]:
        """What the magnitude of the minimum of each block may be, -1 for nothing.

        First divisors of what all groups begin at; then those of where the two groups whose codes
        leave the least room may begin.
        """
        shared = np.gcd.reduce(np.abs(self.low), axis=1)
        for divisor in range(1, SHARED + 1):
            yield np.where(shared % divisor == 0, shared // divisor, -1)
        highest = len(formats.packer(self.name).LEVELS) - 1
        step = self.factor * self.scale[:, None]
        order = np.where(step > 0, highest - self.span, highest + 1).argsort(axis=1, kind="stable")
        for rank in range(2):
            at = order[:, rank : rank + 1]
            low, by, span = (
                np.take_along_axis(x, at, 1)[:, 0] for x in (self.low, step, self.span)
            )
            for code in range(highest + 1):
                start = np.where(code <= highest - span, np.abs(low - code * by), 0)
                factors = np.arange(1, FACTORS[self.name][1] + 1)
                fits = (start[:, None] > 0) & (start[:, None] % factors == 0)
                fits &= _is_float16(start[:, None] // factors) & self.sound[:, None]
                for factor in factors[fits.any(axis=0)]:
                    yield np.where(fits[:, factor - 1], start // factor, -1)

    def _minimum_factors(self, at: Integers, minimum: Integers) -> tuple[Integers, Integers, Flags]:
        """Factors of `minimum` in the blocks `at` that let each group begin at a code.

        They, the factors of the scale beside them, and of which blocks all groups have them: codes
        with a divisor in common may also be those of a smaller step.
        """
        n_codes = len(formats.packer(self.name).LEVELS)
        codes = np.arange(n_codes)
        chosen = np.zeros_like(self.low[at])
        factor = self.factor[at].copy()
        open_ = np.ones(chosen.shape, bool)
        divisor = np.where(minimum == 0, 1, minimum)[:, None, None]
        for common in range(1, n_codes):
            span = self.span[at] * common
            possible = open_ & (self.factor[at] % common == 0) & (span < n_codes)
            if not possible.any():
                break
            step = self.factor[at] // common * self.scale[at, None]
            start = step[..., None] * codes - self.low[at, :, None]
            factors = start // divisor
            fits = possible[..., None] & (factors * minimum[:, None, None] == start)
            fits &= (factors >= 0) & (factors <= FACTORS[self.name][1])
            fits &= codes + span[..., None] < n_codes
            first = fits.argmax(axis=2)[..., None]
            some = fits.any(axis=2)
            chosen = np.where(some, np.take_along_axis(factors, first, axis=2)[..., 0], chosen)
            factor = np.where(some, self.factor[at] // common, factor)
            open_ &= ~some
        return chosen, factor, _every(~open_)


def _every(flags: Flags) -> Flags:
    """Whether all flags of each block are set, (n, ...) -> (n,)."""
    every: Flags = np.logical_and.reduce(flags, axis=tuple(range(1, flags.ndim)))
    return every


def _is_float16(units: Integers) -> Flags:
    """Whether integer numbers of `UNIT` are float16."""
    magnitude = np.abs(units)
    lowest_bit = magnitude & -magnitude
    return (magnitude <= FLOAT16_MOST) & (magnitude < 2048 * np.maximum(lowest_bit, 1))


def _float16(units: Integers) -> npt.NDArray[np.float16]:
    return (units * UNIT).astype(np.float16)
