"""Intervals against published examples, and the bootstrap's coverage against simulation."""

import math

import numpy as np
import pytest

from aboard.evaluate.statistics import (
    bca,
    bootstrap,
    expanded,
    mcnemar_p,
    paired_difference,
    wilson,
)

# Newcombe (1998), Statistics in Medicine 17, table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("successes", "n", "low", "high"), NEWCOMBE)
def test_wilson_is_as_newcombe_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


# Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33: airway hyper-responsiveness in 21
# children before and after stem cell transplantation, discordant pairs 1 and 7.
def test_a_paired_difference_is_as_fagerland_published() -> None:
    assert paired_difference(1, 7, 21) == pytest.approx((-0.508, -0.013), abs=1e-3)


def test_mcnemar_is_as_fagerland_published() -> None:
    assert mcnemar_p(1, 7) == pytest.approx(0.0703, abs=1e-4)


@pytest.mark.parametrize(("lost", "gained", "p"), [(0, 0, 1.0), (3, 3, 1.0), (0, 5, 2 / 32)])
def test_mcnemar_of_few_pairs_is_a_fair_coin(lost: int, gained: int, p: float) -> None:
    assert mcnemar_p(lost, gained) == pytest.approx(p)
    assert mcnemar_p(gained, lost) == pytest.approx(p)


def test_mcnemar_of_many_pairs_goes_on_as_that_of_fewer() -> None:
    exact = 2 * sum(math.comb(1000, i) for i in range(471)) / 2**1000

    assert mcnemar_p(470, 530) == pytest.approx(exact, rel=0.01)


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[:, 1:] / sums[:, :1]


def skewed(random: np.random.Generator, n: int) -> np.ndarray:
    """Sequences of different lengths, with sums as skewed as those of KL divergences."""
    tokens = random.integers(200, 512, n).astype(float)
    return np.stack([tokens, tokens * random.gamma(4.0, 0.01, n)], axis=1)


@pytest.mark.parametrize(("n", "least"), [(32, 0.88), (100, 0.92)])
def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says(n: int, least: float) -> None:
    random = np.random.default_rng(0)
    intervals = [bootstrap(skewed(random, n), ratio, resamples=500) for _ in range(300)]

    covered = np.mean([low <= 0.04 <= high for ((low, high),) in intervals])

    assert least <= covered <= 0.98


def test_the_bootstrap_of_a_mean_is_about_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 1.0, 400)
    sums = np.stack([np.ones(400), values], axis=1)

    ((low, high),) = bootstrap(sums, ratio)

    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.012)


def test_bca_leans_to_the_long_tail() -> None:
    values = np.random.default_rng(2).exponential(1.0, 50)
    sums = np.stack([np.ones(50), values], axis=1)

    ((low, high),) = bootstrap(sums, ratio)

    assert high - values.mean() > 1.1 * (values.mean() - low)


def test_bca_of_an_even_sample_is_that_of_percentiles() -> None:
    drawn = np.arange(-1000, 1001) / 100.0

    low, high = bca(drawn, 0.0, np.array([-1.0, 1.0, -2.0, 2.0] * 1000))

    assert (low, high) == pytest.approx((-9.5, 9.5), abs=0.01)


@pytest.mark.parametrize(("n", "t"), [(8, 2.365), (32, 2.040), (121, 1.980)])
def test_few_members_widen_the_interval_by_students_t(n: int, t: float) -> None:
    assert expanded(n) == pytest.approx(t * math.sqrt(n / (n - 1)), abs=0.012)


def test_what_does_not_vary_has_an_interval_of_one_value() -> None:
    sums = np.stack([np.ones(20), np.zeros(20)], axis=1)

    assert bootstrap(sums, ratio) == [(0.0, 0.0)]


def test_the_same_sums_give_the_same_interval() -> None:
    sums = skewed(np.random.default_rng(3), 40)

    assert bootstrap(sums, ratio) == bootstrap(sums, ratio)
    assert bootstrap(sums, ratio) != bootstrap(sums, ratio, seed=1)


def test_too_few_sequences_have_no_interval() -> None:
    assert bootstrap(skewed(np.random.default_rng(4), 7), ratio) is None
