"""Weights rounded to the best blocks of a format: scales are searched, not taken from the largest.

What is best: the least sum of importance * error^2 over a block. For each group of weights that
share a scale, many scales of both signs (and minimums) are tried with the codes nearest to them,
and each is refitted to its codes by least squares; where the scales of a block are small integers
times one float16, these are chosen together with it and refitted in turn
(native/quantize/search-inl.h). Neither threads nor instruction sets change a bit of the result.
"""

from __future__ import annotations

import functools
from typing import Protocol, cast

import numpy as np

from aboard.errors import CorruptTensor, UsageError
from aboard.formats._blocks import Bytes, Float32
from aboard.formats._grid import Grid
from aboard.formats._parts import Parts
from aboard.formats._registry import NAMES, Format, bits_of, by_name, encoder, plainly_encodable


class Packer(Format, Protocol):
    """A format whose blocks can be made of scales and codes.

    Attributes
    ----------
    LEVELS : tuple of int
        What the codes 0, 1, ... stand for, ascending.
    """

    LEVELS: tuple[int, ...]

    def pack(self, parts: Parts, codes: Bytes, /) -> Bytes:
        """Blocks of `parts` and `codes`, (R, D) uint8 -> (R, D / BLOCK, BLOCK_BYTES) uint8."""
        ...


@functools.cache
def searchable() -> tuple[str, ...]:
    """The names of the formats that `find_grid` knows, in the order of their bits."""
    found = [name for name in NAMES if hasattr(by_name(name), "pack")]
    return tuple(sorted(found, key=lambda name: (bits_of(name), name)))


@functools.cache
def encodable() -> tuple[str, ...]:
    """The names of the formats that `encode` knows, in the order of their bits."""
    names = {*searchable(), *plainly_encodable()}
    return tuple(sorted(names, key=lambda name: (bits_of(name), name)))


def encode(name: str, weights: Float32) -> Bytes:
    """Blocks of `weights`, (R, D) float32, all of which count alike.

    By the format's own `encode`, and so to the bytes of ggml's reference rules, where it has one;
    otherwise by `round_to`.

    Raises
    ------
    CorruptTensor
        A weight is NaN or infinite.
    UsageError
        Aboard can't write the format, the rows are no whole blocks of it, or a weight is beyond
        its range.
    """
    if name in searchable() and name not in plainly_encodable():
        return round_to(name, weights)
    if name not in encodable():
        raise UsageError(f"the type is {name!r}, expected one of {', '.join(encodable())}")
    return encoder(name).encode(weights)


def find_grid(
    name: str, weights: Float32, importances: Float32 | None = None, *, threads: int = 1
) -> Grid:
    """The scales (and offsets) that serve `weights` best, as packed blocks will have them.

    Parameters
    ----------
    name : str
        One of `searchable()`.
    weights : (R, D) float32
        D a multiple of the format's BLOCK.
    importances : (D,) float32, optional
        What an error in each column counts, at least 0: say the mean square of what the column is
        multiplied by. By default all count alike, as do those of a group that all are 0.
    threads : int
        At most so many; they change nothing.

    Raises
    ------
    CorruptTensor
        A weight is NaN or infinite; the message names its row and column.
    UsageError
        Another format, shape or type; an importance that is negative or no number; weights whose
        scale float16 can't hold.
    """
    from aboard import _native

    form = packer(name)
    weights = _checked(form, weights)
    counted = None if importances is None else _checked_importances(importances, weights)
    scale, minimum, factor, minimum_factor = _native.search_scales(name, weights, counted, threads)
    affine, divided = is_affine(form), form.BLOCK != form.SUB_BLOCK
    parts = Parts(
        scale=scale.view(np.float16),
        minimum=minimum.view(np.float16) if affine else None,
        factor=factor if divided else None,
        minimum_factor=minimum_factor if affine and divided else None,
    )
    _require_range(form, parts, weights)
    return grid_of(form, parts)


def nearest_codes(grid: Grid, weights: Float32, *, threads: int = 1) -> Bytes:
    """The codes of `grid` nearest to `weights`, (R, D) float32 -> (R, D) uint8.

    (weight - offset) * (1 / scale), all in float32, to the nearest level; halves go to the even
    one of evenly spaced levels, else to the lower. The quotient is 0 where it is no number.

    Raises
    ------
    CorruptTensor
        A weight is NaN or infinite.
    UsageError
        Weights of another shape or type than the grid's.
    """
    from aboard import _native

    weights = _checked(packer(grid.format), weights)
    if weights.shape != grid.shape:
        raise UsageError(f"weights are {weights.shape}, the grid is for {grid.shape}")
    scale = np.ascontiguousarray(grid.scale)
    offset = None if grid.offset is None else np.ascontiguousarray(grid.offset)
    return _native.nearest_codes(grid.format, weights, scale, offset, threads)


def pack(grid: Grid, codes: Bytes) -> Bytes:
    """The blocks of `grid` with `codes`, (R, D) uint8: (R, D / BLOCK, BLOCK_BYTES) uint8.

    Raises
    ------
    UsageError
        Codes of another shape or type, or that the format hasn't.
    """
    grid.require(codes)
    return packer(grid.format).pack(grid.parts, codes)


def round_to(
    name: str, weights: Float32, importances: Float32 | None = None, *, threads: int = 1
) -> Bytes:
    """Blocks of `weights`: the nearest codes on the grid that `find_grid` finds; see there."""
    grid = find_grid(name, weights, importances, threads=threads)
    return pack(grid, nearest_codes(grid, weights, threads=threads))


def grid_of(form: Packer, parts: Parts) -> Grid:
    """The grid that blocks of `parts` have."""
    return Grid(
        format=form.NAME,
        group=form.SUB_BLOCK,
        scale=parts.scales(),
        offset=parts.offsets(),
        levels=np.array(form.LEVELS, np.float32),
        parts=parts,
    )


def is_affine(form: Packer) -> bool:
    """Whether the blocks of `form` hold minimums: its codes stand for 0 and up."""
    return form.LEVELS[0] == 0


def packer(name: str) -> Packer:
    """The format called `name`, of which blocks can be made.

    Raises
    ------
    UsageError
        Aboard has no such format, or can't make its blocks.
    """
    if name not in searchable():
        raise UsageError(f"the type is {name!r}, expected one of {', '.join(searchable())}")
    return cast(Packer, by_name(name))


def _checked(form: Packer, weights: Float32) -> Float32:
    if weights.dtype != np.float32 or weights.ndim != 2 or weights.shape[1] % form.BLOCK:
        raise UsageError(
            f"weights are {weights.shape} {weights.dtype}, "
            f"expected (R, D) float32, D a multiple of {form.BLOCK}"
        )
    finite = np.isfinite(weights)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise CorruptTensor(
            f"the weight in row {row}, column {column} is {weights[row, column]}, "
            "expected a finite number",
            hint="The checkpoint is damaged, or its training failed: get another one.",
        )
    return np.ascontiguousarray(weights)


def _checked_importances(importances: Float32, weights: Float32) -> Float32:
    if importances.dtype != np.float32 or importances.shape != weights.shape[1:]:
        raise UsageError(
            f"importances are {importances.shape} {importances.dtype}, "
            f"expected {weights.shape[1:]} float32"
        )
    sound = np.isfinite(importances) & (importances >= 0)
    if not sound.all():
        column = int(np.argmin(sound))
        raise UsageError(
            f"the importance of column {column} is {importances[column]}, "
            "expected a number from 0 up",
            hint="The activations it was made of hold NaN or overflow: check the calibration.",
        )
    return np.ascontiguousarray(importances)


def _require_range(form: Packer, parts: Parts, weights: Float32) -> None:
    """Refuse a block whose scale or minimum became infinite."""
    for values in (parts.scale, parts.minimum):
        if values is None or np.isfinite(values).all():
            continue
        row, block = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        of_block = weights[row, block * form.BLOCK : (block + 1) * form.BLOCK]
        largest = of_block[np.abs(of_block).argmax()]
        raise UsageError(
            f"{largest:g} is beyond the range of float16 scales",
            hint=f"It stands in row {row}: look whether the checkpoint is damaged.",
        )
