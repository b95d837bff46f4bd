"""Intervals that say how sure a figure is, each with its source; two-sided, 95 %."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Interval = tuple[float, float]

RESAMPLES = 2000
SEED = 20240607
MIN_SEQUENCES = 8
"""Fewer sequences give no interval: resampling so few says next to nothing."""

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)
_AT_ONCE = 1 << 20  # indices that are drawn together


def wilson(successes: int, n: int) -> Interval:
    """The interval of a proportion (Wilson, 1927, without continuity correction)."""
    if n < 1:
        return 0.0, 1.0
    p, z2 = successes / n, _Z * _Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_p(lost: int, gained: int) -> float:
    """The exact probability of discordant pairs at least as uneven, by chance (McNemar, 1947).

    Twice the tail of a binomial distribution of `lost + gained` fair throws, at most 1.
    """
    n, few = lost + gained, min(lost, gained)
    if n >= 1000:  # 0.5**n would be 0: the normal tail, with continuity correction
        return min(1.0, 2 * _NORMAL.cdf((few + 0.5 - n / 2) / math.sqrt(n / 4)))
    term, total = 0.5**n, 0.0
    for i in range(few + 1):
        total += term
        term = term * (n - i) / (i + 1)
    return min(1.0, 2 * total)


def paired_difference(gained: int, lost: int, n: int) -> Interval:
    """The interval of (gained - lost) / n, a difference of two paired proportions.

    The adjusted Wald interval of Bonett and Price (2012): one pair more of either kind.
    """
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = _Z * math.sqrt(max(up + down - (up - down) ** 2, 0.0) / (n + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def resampled(n: int, *, seed: int = SEED, resamples: int = RESAMPLES) -> Iterator[Indices]:
    """Indices of `resamples` bootstrap samples of `n` sequences, in blocks of (b, n).

    One block at a time: together they take 16 KB for each sequence.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    at_once = max(1, _AT_ONCE // n)
    for done in range(0, resamples, at_once):
        yield draw.integers(0, n, (min(at_once, resamples - done), n))


def bootstrap(
    sums: Floats,
    figures: Callable[[Floats], Floats],
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> list[Interval] | None:
    """Intervals of figures that are functions of sums over sequences.

    Sequences are resampled whole, for the tokens of one depend on each other, and what is added up
    together is resampled together, so paired figures stay paired. The intervals are BCa (Efron,
    1987): corrected for bias and skewness, with the acceleration from the jackknife, and widened
    for few sequences.

    Parameters
    ----------
    sums : (n, k) float64
        What is summed, of each sequence.
    figures : callable
        (b, k) totals -> (b, m) figures.

    Returns
    -------
    list of (float, float)
        m intervals; None where there are fewer than `MIN_SEQUENCES`.
    """
    n = len(sums)
    if n < MIN_SEQUENCES:
        return None
    blocks = resampled(n, seed=seed, resamples=resamples)
    drawn = np.concatenate([figures(sums[block].sum(axis=1)) for block in blocks])
    total = sums.sum(axis=0)
    found = figures(total[None])[0]
    without_one = figures(total - sums)
    return [bca(drawn[:, i], float(found[i]), without_one[:, i]) for i in range(drawn.shape[1])]


def bca(drawn: Floats, found: float, without_one: Floats) -> Interval:
    """The BCa interval of a figure that is `found`.

    Parameters
    ----------
    drawn : (b,) float64
        The figure of each bootstrap sample.
    found : float
        That of the sample itself.
    without_one : (n,) float64
        That of the sample without each of its members.
    """
    ordered = np.sort(drawn)
    low, high = float(ordered[0]), float(ordered[-1])
    if low == high:
        return low, high
    below = float(((drawn < found).mean() + (drawn <= found).mean()) / 2)
    bias = _NORMAL.inv_cdf(min(max(below, 1 / (2 * len(drawn))), 1 - 1 / (2 * len(drawn))))
    away = without_one.mean() - without_one
    spread = float((away**2).sum())
    skew = float((away**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z = expanded(len(without_one))
    return _at(ordered, bias, skew, -z), _at(ordered, bias, skew, z)


def expanded(n: int) -> float:
    """How many standard deviations of a bootstrap of `n` members make 95 %.

    That of percentiles is too narrow for few members, as a normal interval is without Student's t
    and with n in place of n - 1 (Hesterberg, 2015, The American Statistician 69). The quantile
    of t is the expansion of Abramowitz and Stegun, 26.7.5.
    """
    free = n - 1
    t = _Z + (_Z**3 + _Z) / (4 * free) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * free**2)
    return t * math.sqrt(n / free)


def _at(ordered: Floats, bias: float, skew: float, z: float) -> float:
    shifted = bias + z
    level = _NORMAL.cdf(bias + shifted / max(1 - skew * shifted, 1e-6))
    return float(np.quantile(ordered, level))
