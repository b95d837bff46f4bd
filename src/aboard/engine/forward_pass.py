"""One forward pass, and what may go wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.errors import NotEnoughMemory, NumericalError

if TYPE_CHECKING:
    from aboard._native import KvCache
    from aboard.engine.model import Model


def no_memory_for_context(model: Model) -> NotEnoughMemory:
    """The error that says that there is no room for another KV cache."""
    return NotEnoughMemory(
        f"the system grants no memory for a context of {model.context_length} tokens",
        hint="Load the model with a shorter context.",
    )


def compute(
    model: Model,
    tokens: npt.NDArray[np.int32],
    caches: Sequence[KvCache],
    wanted: Sequence[int],
) -> npt.NDArray[np.float32]:
    """One forward pass: the logits of the wanted tokens, (n, V) float32, all finite.

    Raises
    ------
    NumericalError, NotEnoughMemory
        As for `require_finite` and `compute_unchecked`.
    """
    logits = compute_unchecked(model, tokens, caches, wanted)
    require_finite(model, logits)
    return logits


def compute_unchecked(
    model: Model,
    tokens: npt.NDArray[np.int32],
    caches: Sequence[KvCache],
    wanted: Sequence[int],
) -> npt.NDArray[np.float32]:
    """One forward pass: the logits of the wanted tokens, (n, V) float32, whatever they are.

    Raises
    ------
    NotEnoughMemory
        The system grants no memory or no threads for the pass.
    """
    try:
        return model.decoder.forward(tokens, caches, wanted)
    except MemoryError:
        raise NotEnoughMemory(
            f"the system grants too little memory, or no {model.threads} threads, for "
            f"{tokens.size} tokens",
            hint="Free memory, or use fewer threads.",
        ) from None


def require_finite(model: Model, logits: npt.NDArray[np.float32]) -> None:
    """Refuse logits that are none.

    Raises
    ------
    NumericalError
        One is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise NumericalError(
            f"{model.path}: the model computes NaN or infinity instead of logits",
            hint="Its weights are damaged or beyond float32: get or convert the file again.",
        )
