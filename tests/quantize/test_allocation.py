"""Formats within a budget: against every combination there is, and against a linear bound."""

import itertools

import numpy as np
import pytest

from aboard.quantize.allocation import Allocation, Frontier, Option


def parts_of(seed: int, n_parts: int, n_options: int) -> list[list[Option]]:
    random = np.random.default_rng(seed)
    return [
        [
            Option(f"F{i}", int(random.integers(1, 400)) * 32, float(random.exponential()))
            for i in range(n_options)
        ]
        for _ in range(n_parts)
    ]


def every_allocation(parts: list[list[Option]]) -> list[Allocation]:
    return [Allocation(chosen=chosen) for chosen in itertools.product(*parts)]


@pytest.mark.parametrize("seed", range(8))
def test_the_least_loss_within_bytes_is_that_of_all_combinations(seed: int) -> None:
    parts = parts_of(seed, n_parts=5, n_options=5)
    every = every_allocation(parts)
    frontier = Frontier(parts)

    for budget in np.quantile([each.size_bytes for each in every], [0, 0.02, 0.3, 0.7, 1]):
        found = frontier.within_bytes(int(budget))

        best = min(each.loss for each in every if each.size_bytes <= int(budget))
        assert found is not None
        assert found.size_bytes <= budget
        assert found.loss == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_fewest_bytes_within_a_loss_are_those_of_all_combinations(seed: int) -> None:
    parts = parts_of(seed, n_parts=5, n_options=5)
    every = every_allocation(parts)
    frontier = Frontier(parts)

    for budget in np.quantile([each.loss for each in every], [0.02, 0.3, 0.7, 1]):
        found = frontier.within_loss(float(budget))

        assert found is not None
        assert found.loss <= budget * (1 + 1e-12)
        assert found.size_bytes == min(
            each.size_bytes for each in every if each.loss <= budget * (1 - 1e-12)
        )


def test_of_many_parts_little_is_left_to_the_linear_bound() -> None:
    parts = parts_of(3, n_parts=150, n_options=8)
    frontier = Frontier(parts)

    for share in (0.1, 0.3, 0.6):
        budget = round(
            frontier.smallest_bytes + share * (frontier.largest_bytes - frontier.smallest_bytes)
        )
        found = frontier.within_bytes(budget)

        assert found is not None
        assert found.size_bytes <= budget
        assert found.loss <= 1.01 * linear_bound(parts, budget)


def linear_bound(parts: list[list[Option]], budget: int) -> float:
    """No allocation loses less: the Lagrangian dual, at its best multiplier of many."""
    return max(
        sum(min(each.loss + price * each.size_bytes for each in part) for part in parts)
        - price * budget
        for price in np.geomspace(1e-7, 1e-2, 2000)
    )


def test_budgets_that_nothing_fits_give_nothing() -> None:
    frontier = Frontier([[Option("A", 64, 0.5), Option("B", 32, 1.0)], [Option("C", 32, 0.25)]])

    assert frontier.smallest_bytes == 64
    assert frontier.within_bytes(63) is None
    assert frontier.within_loss(0.7) is None
    assert frontier.within_loss(0.75) == frontier.within_bytes(10**9)


def test_options_that_others_beat_are_never_taken() -> None:
    parts = [[Option("big", 96, 0.5), Option("small", 64, 0.5), Option("worse", 64, 0.9)]]

    found = Frontier(parts).within_bytes(1000)

    assert found is not None
    assert [option.format for option in found.chosen] == ["small"]


def test_few_sums_still_give_allocations_within_the_budget() -> None:
    parts = parts_of(5, n_parts=40, n_options=6)
    fine, coarse = Frontier(parts), Frontier(parts, most=64)
    budget = (fine.smallest_bytes + fine.largest_bytes) // 2

    few, many = coarse.within_bytes(budget), fine.within_bytes(budget)

    assert coarse.smallest_bytes == fine.smallest_bytes
    assert few is not None
    assert many is not None
    assert few.size_bytes <= budget
    assert many.loss <= few.loss <= 1.5 * many.loss
