"""What packed blocks hold beside the codes, field by field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.formats._blocks import Bytes, Float32
from aboard.formats._fields import product

Float16 = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The stored parts of the scales and minimums of R rows.

    Attributes
    ----------
    scale : (R, D / BLOCK) float16
        Of a block.
    minimum : (R, D / BLOCK) float16, or None
        None where the format has none.
    factor : (R, D / SUB_BLOCK) int8, or None
        By which each sub-block multiplies `scale`; None where a block is one sub-block.
    minimum_factor : (R, D / SUB_BLOCK) uint8, or None
        By which each sub-block multiplies `minimum`, which is then subtracted.
    """

    scale: Float16
    minimum: Float16 | None = None
    factor: npt.NDArray[np.int8] | None = None
    minimum_factor: Bytes | None = None

    def scales(self) -> Float32:
        """The scale of each sub-block, (R, D / SUB_BLOCK) float32, as `unpack` has it."""
        return _times(self.scale, self.factor)

    def offsets(self) -> Float32 | None:
        """The minimum of each sub-block as `unpack` has it, or None."""
        if self.minimum is None:
            return None
        offsets = _times(self.minimum, self.minimum_factor)
        return offsets if self.minimum_factor is None else -offsets

    def rows(self, first: int, last: int) -> Parts:
        """The parts of the rows from `first` to before `last`; views."""
        return Parts(
            scale=self.scale[first:last],
            minimum=None if self.minimum is None else self.minimum[first:last],
            factor=None if self.factor is None else self.factor[first:last],
            minimum_factor=None if self.minimum_factor is None else self.minimum_factor[first:last],
        )


def _times(scale: Float16, factor: npt.NDArray[np.int8] | Bytes | None) -> Float32:
    wide = scale.astype(np.float32)
    if factor is None:
        return wide
    per_block = factor.shape[-1] // max(scale.shape[-1], 1)
    return product(np.repeat(wide, per_block, axis=-1), factor)
