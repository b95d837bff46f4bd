"""What logits say of the tokens that followed: log-probabilities, beside those of the likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aboard.engine.sampling import top_logprobs

if TYPE_CHECKING:
    import numpy.typing as npt

Top = tuple[tuple[int, float], ...]
"""Token ids and their log-probabilities, the likeliest first."""


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A token that was there already."""

    token: int
    """Its id."""
    logprob: float
    """Natural logarithm of its probability under the raw logits, a float32 value."""
    top: Top
    """The likeliest tokens in its place; as many as were asked for."""


def likeliest(logits: npt.NDArray[np.float32], n: int) -> Top:
    """The `n` likeliest tokens by a row of logits, (V,) float32.

    Raises
    ------
    UsageError
        A logit is NaN, all are -infinity, or there are fewer than `n`.
    """
    if not n:
        return ()
    tokens, logprobs = top_logprobs(logits, n)
    return tuple(zip(tokens.tolist(), logprobs.tolist(), strict=True))


def score_tokens(
    logits: npt.NDArray[np.float32], tokens: npt.NDArray[np.int32], n_top: int
) -> list[TokenScore]:
    """The scores of (T,) tokens by the (T, V) logits before each; all logits are finite.

    A token that is among the likeliest has the very number there that it has itself.
    """
    from aboard import _native

    losses, _ = _native.score_rows(logits, tokens)
    return [
        TokenScore(token, logprob, likeliest(row, n_top))
        for token, logprob, row in zip(
            tokens.tolist(), (-losses).astype(np.float32).tolist(), logits, strict=True
        )
    ]
