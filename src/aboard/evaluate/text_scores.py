"""How well a model predicts a text, and how far it is from a reference on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.evaluate.histograms import CHANGE_EDGES, KL_EDGES, Histogram, histogram
from aboard.evaluate.perplexity import perplexity_of
from aboard.evaluate.statistics import MIN_SEQUENCES, Interval, bootstrap, resampled

Floats = npt.NDArray[np.float64]

NEAR_LOSSLESS_KL = 0.01
"""Below it KL divergence doesn't rank models (arXiv 2606.19558)."""
_DROP_LEVEL = 0.01
_DROP_TOKENS = 0.1  # of all: resampling doesn't move the worst hundredth beyond the worst tenth

# Bits of WindowScores.marks.
SAME_TOP, MODEL_RIGHT, REFERENCE_RIGHT = 1, 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowScores:
    """What was found for the tokens of one window.

    Attributes
    ----------
    n_bytes : int
        Bytes that its scored tokens spell.
    losses : (T,) float64
        Nats of each token by the model.
    reference_losses, divergence : (T,) float64, or None
        Nats by the reference, and KL(reference || model).
    marks : (T,) uint8
        A sum of `SAME_TOP`, `MODEL_RIGHT`, `REFERENCE_RIGHT`: which likeliest tokens were right.
    """

    n_bytes: int
    losses: Floats
    reference_losses: Floats | None
    divergence: Floats | None
    marks: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceScores:
    """The means of one window, for plots.

    `nats` and `reference_nats` are losses of a token, `kl` its divergence.
    """

    n_tokens: int
    n_bytes: int
    nats: float
    reference_nats: float | None
    kl: float | None
    same_top: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A model against a reference, on the same tokens.

    Attributes
    ----------
    verdict : str
        "identical", "no measurable difference", "measurable difference", or "too few sequences".
    reference_perplexity : float
        Of the reference.
    ppl_ratio : float
        Perplexity of the model over that of the reference.
    kl_mean : float
        The mean of KL(reference || model) over the tokens, in nats.
    kl_p99, kl_max : float
        The divergence that 1 % of the tokens exceed, and the largest.
    same_top_fraction : float
        Tokens at which both find the same token likeliest.
    flips_lost, flips_gained : int
        Tokens whose right token the reference found likeliest and the model didn't; the other way.
    worst_drop : float
        By how much the true token's probability fell, or more, at the worst 1 % of the tokens:
        the 1 % quantile of its change, below 0.
    kl_histogram, change_histogram : Histogram
        How the divergences of single tokens are spread, and the changes of the true token's
        probability.
    ..._ci95 : (float, float) or None
        95 % intervals, by bootstrap over sequences; None where there are fewer than 8.
    """

    verdict: str
    reference_perplexity: float
    ppl_ratio: float
    ppl_ratio_ci95: Interval | None
    kl_mean: float
    kl_ci95: Interval | None
    kl_p99: float
    kl_max: float
    same_top_fraction: float
    same_top_ci95: Interval | None
    flips_lost: int
    flips_gained: int
    worst_drop: float
    worst_drop_ci95: Interval | None
    kl_histogram: Histogram
    change_histogram: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScores:
    """How well a model predicts a text.

    Attributes
    ----------
    name : str
        The files, or the built-in text.
    sha256 : str
        The hash of the text's bytes.
    builtin : bool
        Whether it is the built-in text, which is too small to judge a model by.
    window : int
        Tokens of a sequence.
    n_tokens, n_bytes, n_sequences : int
        Tokens that were scored, the bytes they spell, and the sequences they came in.
    perplexity : float
        exp of the mean loss; `perplexity_ci95` by bootstrap over sequences.
    bits_per_byte : float or None
        The loss in bits for each byte; None where the tokens spell none.
    comparison : Comparison or None
        Against the reference, if there is one.
    sequences : tuple of SequenceScores
        One for each, in order.
    """

    name: str
    sha256: str
    builtin: bool
    window: int
    n_tokens: int
    n_bytes: int
    n_sequences: int
    perplexity: float
    perplexity_ci95: Interval | None
    bits_per_byte: float | None
    comparison: Comparison | None
    sequences: tuple[SequenceScores, ...]


def sum_up(
    found: Sequence[WindowScores], *, name: str, sha256: str, builtin: bool, window: int
) -> TextScores:
    """The figures of a text from those of its windows, at least one."""
    sums = np.array([_sums(each) for each in found])
    total = sums.sum(axis=0)
    n_tokens, n_bytes = int(total[0]), sum(each.n_bytes for each in found)
    compared = found[0].divergence is not None
    figures = _compared_figures if compared else _figures
    intervals = bootstrap(sums, figures)
    nats = total[1] / n_tokens
    return TextScores(
        name=name,
        sha256=sha256,
        builtin=builtin,
        window=window,
        n_tokens=n_tokens,
        n_bytes=n_bytes,
        n_sequences=len(found),
        perplexity=perplexity_of(nats),
        perplexity_ci95=None if intervals is None else _exp_interval(intervals[0]),
        bits_per_byte=float(total[1]) / math.log(2) / n_bytes if n_bytes else None,
        comparison=_compare(found, total, intervals) if compared else None,
        sequences=tuple(_sequence(each) for each in found),
    )


def _sums(each: WindowScores) -> tuple[float, ...]:
    """Tokens and summed losses; with a reference its losses, the divergence, the same tops."""
    own = (float(each.losses.size), float(each.losses.sum()))
    if each.reference_losses is None or each.divergence is None:
        return own
    same = float(np.count_nonzero(each.marks & SAME_TOP))
    return (*own, float(each.reference_losses.sum()), float(each.divergence.sum()), same)


def _figures(sums: Floats) -> Floats:
    return sums[:, 1:2] / sums[:, :1]


def _compared_figures(sums: Floats) -> Floats:
    """Loss, its change against the reference, divergence, share of same tops; (b, 4)."""
    n = sums[:, 0]
    loss, reference, divergence, same = sums[:, 1:].T
    return np.stack([loss / n, (loss - reference) / n, divergence / n, same / n], axis=1)


def _compare(
    found: Sequence[WindowScores], total: Floats, intervals: list[Interval] | None
) -> Comparison:
    n, loss, reference, divergence, same = total.tolist()
    marks = np.concatenate([each.marks for each in found])
    right, was_right = marks & MODEL_RIGHT > 0, marks & REFERENCE_RIGHT > 0
    each_kl = np.concatenate([each.divergence for each in found if each.divergence is not None])
    changes = _changes(found)
    worst, worst_ci = _worst_drop(changes)
    ratio_ci = None if intervals is None else _exp_interval(intervals[1])
    kl_ci = None if intervals is None else intervals[2]
    return Comparison(
        verdict=_verdict(each_kl, ratio_ci, kl_ci),
        reference_perplexity=perplexity_of(reference / n),
        ppl_ratio=perplexity_of((loss - reference) / n),
        ppl_ratio_ci95=ratio_ci,
        kl_mean=divergence / n,
        kl_ci95=kl_ci,
        kl_p99=float(np.quantile(each_kl, 0.99)),
        kl_max=float(each_kl.max()),
        same_top_fraction=same / n,
        same_top_ci95=None if intervals is None else intervals[3],
        flips_lost=int(np.count_nonzero(was_right & ~right)),
        flips_gained=int(np.count_nonzero(right & ~was_right)),
        worst_drop=worst,
        worst_drop_ci95=worst_ci,
        kl_histogram=histogram(each_kl, KL_EDGES),
        change_histogram=histogram(np.concatenate(changes), CHANGE_EDGES),
    )


def _verdict(each_kl: Floats, ratio_ci: Interval | None, kl_ci: Interval | None) -> str:
    if not each_kl.any():
        return "identical"
    if ratio_ci is None or kl_ci is None:
        return "too few sequences"
    same = kl_ci[1] < NEAR_LOSSLESS_KL and ratio_ci[0] <= 1 <= ratio_ci[1]
    return "no measurable difference" if same else "measurable difference"


def _changes(found: Sequence[WindowScores]) -> list[Floats]:
    """How the probability of each true token changed, window by window."""
    return [
        np.exp(-each.losses) - np.exp(-each.reference_losses)
        for each in found
        if each.reference_losses is not None
    ]


def _worst_drop(changes: Sequence[Floats]) -> tuple[float, Interval | None]:
    """The 1 % quantile of the change of the true token's probability, and its interval.

    The interval is that of percentiles: a quantile has no jackknife.
    """
    change = np.concatenate(changes)
    n = len(changes)
    quantile = float(np.quantile(change, _DROP_LEVEL, method="inverted_cdf"))
    if n < MIN_SEQUENCES:
        return quantile, None
    order = np.argsort(change, kind="stable")[: max(1, math.ceil(change.size * _DROP_TOKENS))]
    sizes = np.array([each.size for each in changes])
    owner = np.repeat(np.arange(n), sizes)[order]
    drawn = []
    for block in resampled(n):
        for sample in block:
            times = np.bincount(sample, minlength=n)
            below = np.cumsum(times[owner])
            at = int(np.searchsorted(below, _DROP_LEVEL * float((times * sizes).sum())))
            drawn.append(change[order[min(at, order.size - 1)]])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return quantile, (float(low), float(high))


def _sequence(each: WindowScores) -> SequenceScores:
    reference, kl, same_top = None, None, None
    if each.reference_losses is not None and each.divergence is not None:
        reference = float(each.reference_losses.mean())
        kl = float(each.divergence.mean())
        same_top = int(np.count_nonzero(each.marks & SAME_TOP))
    return SequenceScores(
        n_tokens=each.losses.size,
        n_bytes=each.n_bytes,
        nats=float(each.losses.mean()),
        reference_nats=reference,
        kl=kl,
        same_top=same_top,
    )


def _exp_interval(interval: Interval) -> Interval:
    return perplexity_of(interval[0]), perplexity_of(interval[1])
