"""All of packed weights but their codes: what a rounding method that chooses codes works on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aboard.errors import UsageError
from aboard.formats._blocks import Bytes, Float32
from aboard.formats._parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Scales and offsets of R rows of D weights, in exactly the values that packed blocks have.

    A weight is `scale * levels[code] + offset`, by one multiplication and at most one addition in
    float32: with the same codes, what `pack` makes decodes to the same bits.

    Attributes
    ----------
    format : str
        A name of `aboard.formats`.
    group : int
        Neighbouring weights of a row that share a scale: the format's `SUB_BLOCK`, 16 or 32.
    scale : (R, D / group) float32
        Of either sign; 0 where all weights of a group are `offset`, whatever their codes.
    offset : (R, D / group) float32, or None
        None where the format has none: 0.
    levels : (n,) float32
        What the codes 0 to n - 1 stand for, ascending; n is 4 to 256.
    parts : Parts
        What blocks store of all this; for `pack` alone.
    """

    format: str
    group: int
    scale: Float32
    offset: Float32 | None
    levels: Float32
    parts: Parts

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weights."""
        return self.scale.shape[0], self.scale.shape[1] * self.group

    def rows(self, first: int, last: int) -> Grid:
        """The grid of the rows from `first` to before `last`; views, no copies."""
        return replace(
            self,
            scale=self.scale[first:last],
            offset=None if self.offset is None else self.offset[first:last],
            parts=self.parts.rows(first, last),
        )

    def weights(self, codes: Bytes) -> Float32:
        """The weights that `codes`, (R, D) uint8, stand for: (R, D) float32.

        Raises
        ------
        UsageError
            `codes` has another shape or type, or a code that the format hasn't.
        """
        self.require(codes)
        groups = self.levels[codes].reshape(*self.scale.shape, self.group)
        weights = groups * self.scale[..., None]
        if self.offset is not None:
            weights += self.offset[..., None]
        return weights.reshape(self.shape)

    def require(self, codes: Bytes) -> None:
        """Nothing, where `codes` are (R, D) uint8 that all have a level; UsageError otherwise."""
        if codes.dtype != np.uint8 or codes.shape != self.shape:
            raise UsageError(f"codes are {codes.shape} {codes.dtype}, expected {self.shape} uint8")
        if codes.size and int(codes.max()) >= self.levels.size:
            raise UsageError(
                f"a code is {int(codes.max())}, {self.format} has 0 to {self.levels.size - 1}"
            )
