"""How well a model predicts a text: loss in nats, perplexity, bits per byte.

What computes the logits is a callable, so that anything can be measured: `model.logits`, another
engine, a reference. Logits are turned into losses in float64, as they come, and never kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.engine.row_scores import row_scores
from aboard.errors import NumericalError, UsageError

Rows = npt.NDArray[Any]
Forward = Callable[[Sequence[int]], Iterable[Rows]]
"""Tokens -> the logits after each of them: (T, V), or pieces of it in order, (V,) or (t, V)."""

WINDOW = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """How well a text was predicted.

    Attributes
    ----------
    n_scored : int
        Tokens that were predicted: all but those without a token before them.
    n_bytes : int or None
        Bytes of the text, where they were told.
    nats : float
        The mean loss: -ln(probability) of a token.
    """

    n_scored: int
    nats: float
    n_bytes: int | None = None

    @property
    def perplexity(self) -> float:
        """exp of the mean loss; infinite where that is beyond float64."""
        return perplexity_of(self.nats)

    @property
    def bits_per_byte(self) -> float | None:
        """Loss of the whole text in bits, for each of its bytes: independent of the tokenizer.

        None where `n_bytes` is not known.
        """
        return None if not self.n_bytes else self.nats * self.n_scored / math.log(2) / self.n_bytes


def perplexity_of(nats: float) -> float:
    """exp of a mean loss; infinite where that is beyond float64."""
    return math.exp(nats) if nats < 700 else math.inf


def perplexity(
    forward: Forward,
    tokens: Sequence[int],
    *,
    window: int = WINDOW,
    stride: int | None = None,
    n_bytes: int | None = None,
) -> Perplexity:
    """How well `forward` predicts each of `tokens` from those before it.

    Parameters
    ----------
    forward : callable
        Gives the logits after each of the tokens it gets; see `Forward`.
    tokens : sequence of int
        At least two.
    window : int
        Tokens that are computed together, at most those of the context.
    stride : int, optional
        How far windows are apart, at most `window`, which is the default. Each token is scored
        once, in the first window that holds it and a token before it; so with the default the
        first token of each window isn't, and a smaller stride gives each token more context.
    n_bytes : int, optional
        Bytes of the text that the scored tokens spell, for `bits_per_byte`.

    Raises
    ------
    NumericalError
        A logit is NaN, or a token has the probability 0.
    UsageError
        There are fewer than two tokens, one has no logit, or a number is out of its range.
    """
    losses = token_losses(forward, tokens, window=window, stride=stride)
    return Perplexity(n_scored=losses.size, nats=float(losses.mean()), n_bytes=n_bytes)


def token_losses(
    forward: Forward, tokens: Sequence[int], *, window: int = WINDOW, stride: int | None = None
) -> npt.NDArray[np.float64]:
    """The loss in nats of each token that is scored, in order; arguments as for `perplexity`."""
    ids = [int(token) for token in tokens]
    step = window if stride is None else stride
    if len(ids) < 2:
        raise UsageError(f"{len(ids)} tokens, expected two or more: the first predicts the second")
    if window < 2 or not 1 <= step <= window:
        raise UsageError(f"a window of {window} with a stride of {step}, expected 1 to the window")
    found: list[float] = []
    for begin, end, first in _windows(len(ids), window, step):
        part = ids[begin:end]
        at = 1  # the token that the next row predicts
        for piece in forward(part):
            rows = np.ascontiguousarray(np.atleast_2d(piece), np.float32)
            skipped = max(first - begin - at, 0)
            following = _checked(part[at + skipped : at + len(rows)], rows.shape[1])
            scored = rows[skipped : skipped + following.size]
            found += row_scores(scored, following).losses.tolist()
            at += len(rows)
    losses = np.array(found)
    if not np.isfinite(losses).all():
        bad = int(np.argmin(np.isfinite(losses)))
        raise NumericalError(f"the loss of token {bad} is {losses[bad]}, expected a finite number")
    return losses


def _windows(n_tokens: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Where each window begins and ends, and the first token to score in it."""
    scored = 0
    for begin in range(0, n_tokens, stride):
        end = min(begin + window, n_tokens)
        if end - begin > 1:
            yield begin, end, scored
        scored = end
        if end == n_tokens:
            return


def _checked(tokens: Sequence[int], n_vocabulary: int) -> npt.NDArray[np.int32]:
    for token in tokens:
        if not 0 <= token < n_vocabulary:
            raise UsageError(f"token {token} is not in the vocabulary of {n_vocabulary}")
    return np.array(tokens, np.int32)
