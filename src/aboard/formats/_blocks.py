"""Unpacked weights: integer codes and the scales that turn them into numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.errors import CorruptTensor

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Weights as `scale * code + minimum`, one scale (and minimum) per sub-block.

    Attributes
    ----------
    codes : (..., K) int8
        In the order of the weights.
    scale : (..., K / SUB_BLOCK) float32
        The stored parts of a scale, multiplied once in float32.
    minimum : (..., K / SUB_BLOCK) float32, or None
        What is added after the product; None where the format has none.
    """

    codes: Codes
    scale: Float32
    minimum: Float32 | None = None

    def weights(self) -> Float32:
        """The weights, (..., K) float32: one multiplication and at most one addition each."""
        per_scale = (*self.scale.shape, self.codes.shape[-1] // max(self.scale.shape[-1], 1))
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged scale stays visible
            weights = self.codes.reshape(per_scale) * self.scale[..., None]
            if self.minimum is not None:
                weights += self.minimum[..., None]
        return weights.reshape(self.codes.shape)


def check_scales(blocks: Blocks, *, tensor: str, block: int, first_block: int = 0) -> None:
    """Nothing, where every scale and minimum of `blocks` is finite.

    Parameters
    ----------
    blocks : Blocks
        What a format's `unpack` gave.
    tensor : str
        The name to put into the message.
    block : int
        Weights per block: the format's `BLOCK`.
    first_block : int
        The number of the first block of `blocks` within the tensor, where it comes in parts.

    Raises
    ------
    CorruptTensor
        NaN or infinity; the message names the first block that holds one.
    """
    for what, values in (("scale", blocks.scale), ("minimum", blocks.minimum)):
        if values is None:
            continue
        finite = np.isfinite(values)
        if finite.all():
            continue
        bad = int(np.argmin(finite.reshape(-1)))
        scales_per_block = max(values.size * block // max(blocks.codes.size, 1), 1)
        raise CorruptTensor(
            f"tensor {tensor!r}: block {first_block + bad // scales_per_block} has the {what} "
            f"{values.reshape(-1)[bad]}, expected a finite number",
            hint="The file is damaged or was converted wrongly: get it or convert it again.",
        )
