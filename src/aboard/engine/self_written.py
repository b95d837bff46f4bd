"""What a model writes itself, for its calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aboard.engine.sampling import Sampling

if TYPE_CHECKING:
    from aboard.engine.model import Model


def write_on(
    model: Model, beginnings: Sequence[Sequence[int]], n_tokens: int, *, temperature: float = 1.0
) -> list[list[int]]:
    """How `model` goes on from each of `beginnings`, by `n_tokens` at most; always the same.

    Drawn from its whole distribution, by seeds that are the places in the list.
    """
    with model.batch() as batch:
        requests = [
            batch.submit(
                beginning,
                sampling=Sampling(temperature=temperature, seed=seed),
                max_tokens=max(1, min(n_tokens, model.context_length - len(beginning))),
            )
            for seed, beginning in enumerate(beginnings)
        ]
        return [[step.token for step in request] for request in requests]
