"""The tokens on which a model is calibrated: windows of text, some of them held out.

Texts of several kinds, conversations as the model's own chat template writes them, text that the
model writes itself, and what the user gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aboard.errors import UsageError

WINDOW = 512
N_TOKENS = 32768
_HELD_OUT_OF = 8  # one window of so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Windows of tokens, each computed by itself.

    Attributes
    ----------
    windows : (B, T) int32
        Tokens; those that are held out stand at the end.
    n_held_out : int
        How many windows choose among methods and decide no error feedback.
    sources : mapping of str to int
        How many tokens came from where.
    """

    windows: npt.NDArray[np.int32]
    n_held_out: int
    sources: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.n_held_out < self.windows.shape[0]:
            raise UsageError(
                f"{self.windows.shape[0]} windows of calibration text, of which {self.n_held_out} "
                "are held out: expected one of either kind at least"
            )

    @property
    def sha256(self) -> str:
        """The hash of the tokens, little-endian int32 behind B and T, 64 hexadecimal digits."""
        digest = hashlib.sha256(np.array(self.windows.shape, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.windows, "<i4").tobytes())
        return digest.hexdigest()


def calibration_of(tokens: Mapping[str, npt.NDArray[np.int32]], window: int = WINDOW) -> Calibration:
    """Whole windows of `tokens`, the rest of each source being left out; every eighth is held out.

    Parameters
    ----------
    tokens : mapping of str to (n,) int32
        Token ids by source.
    window : int
        Tokens of a window.

    Raises
    ------
    UsageError
        There are fewer than two windows.
    """
    whole = {name: ids[: ids.size // window * window] for name, ids in tokens.items()}
    windows = np.concatenate(list(whole.values())).reshape(-1, window)
    if windows.shape[0] < 2:
        total = sum(ids.size for ids in tokens.values())
        raise UsageError(
            f"the calibration text has {total} tokens, expected {2 * window} at least, "
            f"and better {N_TOKENS}",
            hint="Give more text.",
        )
    held_out = np.arange(windows.shape[0]) % _HELD_OUT_OF == min(1, _HELD_OUT_OF - 1)
    return Calibration(
        windows=np.ascontiguousarray(np.concatenate([windows[~held_out], windows[held_out]])),
        n_held_out=int(held_out.sum()),
        sources={name: int(ids.size) for name, ids in whole.items()},
    )
