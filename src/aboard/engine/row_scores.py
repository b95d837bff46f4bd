"""What rows of logits say of the tokens that followed: losses, top tokens, KL divergence.

All in double precision by the engine's own exponentials and logarithm, so the same bits on every
machine; rows are shared out between threads. A row is 49,152 to 262,144 logits: NumPy takes ten
times as long (bench/evaluate.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScores:
    """What the logits of a model say of tokens.

    Attributes
    ----------
    losses : (T,) float64
        -ln of the probability of each token; NaN where a logit isn't finite.
    top : (T,) int32
        The likeliest token, of several the lowest id; -1 where a logit isn't finite.
    """

    losses: Floats
    top: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """What the logits of a reference and of a model say of the same tokens.

    Attributes
    ----------
    reference, model : RowScores
        Of each.
    divergence : (T,) float64
        KL(reference || model) over the vocabulary in nats; exactly 0 where the rows are equal.
    """

    reference: RowScores
    model: RowScores
    divergence: Floats


def row_scores(
    logits: Logits, tokens: Ids, pool: Executor | None = None, parts: int = 1
) -> RowScores:
    """The scores of (T,) tokens by the (T, V) logits before each of them.

    Parameters
    ----------
    logits : (T, V) float32
    tokens : (T,) int32
        Below V.
    pool : Executor, optional
        Threads that share the rows; by default the caller's does it all.
    parts : int
        Into how many parts they are cut; no result depends on it.
    """
    from aboard import _native

    found = _in_parts(_native.score_rows, (logits, tokens), pool, parts)
    return RowScores(losses=found[0], top=found[1])


def pair_scores(
    reference: Logits,
    logits: Logits,
    tokens: Ids,
    pool: Executor | None = None,
    parts: int = 1,
) -> PairScores:
    """The scores of tokens by the logits of a reference and of a model, both (T, V) float32."""
    from aboard import _native

    found = _in_parts(_native.compare_rows, (reference, logits, tokens), pool, parts)
    return PairScores(
        reference=RowScores(losses=found[0], top=found[1]),
        model=RowScores(losses=found[2], top=found[3]),
        divergence=found[4],
    )


def _in_parts(
    score: Callable[..., tuple[npt.NDArray[Any], ...]],
    arrays: Sequence[npt.NDArray[Any]],
    pool: Executor | None,
    parts: int,
) -> list[npt.NDArray[Any]]:
    n_rows = len(arrays[0])
    if pool is None or n_rows < 2:
        return list(score(*arrays))
    ends = [n_rows * i // parts for i in range(parts + 1)]
    spans = [slice(a, b) for a, b in pairwise(ends) if a < b]
    found = list(pool.map(lambda span: score(*(array[span] for array in arrays)), spans))
    return [np.concatenate(column) for column in zip(*found, strict=True)]
