"""GPTQ against the paper's own recipe in NumPy, all codes there are, and the nearest codes."""

import itertools
import logging

import numpy as np
import pytest

from aboard import _native, formats
from aboard.errors import NumericalError
from aboard.quantize.gptq import DAMPINGS, Feedback, Trial, choose_dampings
from aboard.quantize.moments import Moments, moments_of


def inputs(n: int, columns: int, seed: int, directions: int | None = None) -> np.ndarray:
    """(n, K) float32 of a few directions and noise, with columns of very different size."""
    random = np.random.default_rng(seed)
    directions = directions or columns // 4
    mixed = random.standard_normal((n, directions)) @ random.standard_normal((directions, columns))
    sizes = np.exp(random.standard_normal(columns))
    return ((mixed + 0.5 * random.standard_normal((n, columns))) * sizes).astype(np.float32)


def matrix(rows: int, columns: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(1000 + seed)
    return (0.05 * random.standard_normal((rows, columns))).astype(np.float32)


def gram_of(x: np.ndarray) -> np.ndarray:
    return (x.T @ x / np.float32(x.shape[0])).astype(np.float32)


def moments(x: np.ndarray) -> Moments:
    half = x.shape[0] // 2
    return moments_of(((x[:half], False), (x[half:], True)), "x")


def cost(errors: np.ndarray, gram: np.ndarray) -> float:
    """The sum of e^T H e over rows."""
    wide = errors.astype(np.float64)
    return float(((wide @ gram.astype(np.float64)) * wide).sum())


def gptq_of_the_paper(
    weights: np.ndarray, grid: formats.Grid, gram: np.ndarray, damping: float
) -> np.ndarray:
    """Codes by algorithm 1 of arXiv:2210.17323, column by column, with the inverse it has."""
    hessian = gram.astype(np.float64)
    hessian += damping * np.diagonal(hessian).mean() * np.eye(hessian.shape[0])
    order = np.argsort(-np.diagonal(gram).astype(np.float64), kind="stable")
    inverse = np.linalg.inv(hessian[np.ix_(order, order)])
    factor = np.linalg.cholesky(inverse).T  # upper, as the paper has it
    left = weights.astype(np.float64)[:, order]
    codes = np.zeros(weights.shape, np.uint8)
    for place, column in enumerate(order):
        group = column // grid.group
        scale = grid.scale[:, group].astype(np.float64)
        offset = 0.0 if grid.offset is None else grid.offset[:, group].astype(np.float64)
        values = scale[:, None] * grid.levels + np.reshape(offset, (-1, 1))
        codes[:, column] = np.abs(values - left[:, place, None]).argmin(axis=1)
        rounded = values[np.arange(len(left)), codes[:, column]]
        error = (left[:, place] - rounded) / factor[place, place]
        left[:, place:] -= error[:, None] * factor[place, place:]
    return codes


@pytest.mark.parametrize("damping", [0.001, 0.1])
@pytest.mark.parametrize("form", ["Q4_0", "Q4_1"])
@pytest.mark.parametrize("columns", [64, 288])
def test_codes_are_those_of_the_paper(form: str, columns: int, damping: float) -> None:
    weights, gram = matrix(24, columns, 1), gram_of(inputs(800, columns, 2))
    grid = formats.find_grid(form, weights)

    codes = Feedback.of(gram, damping).round(weights, grid)

    want = gptq_of_the_paper(weights, grid, gram, damping)
    # A weight that lies between two levels to float32's last digits may go to either, and what
    # follows it in the row may then be otherwise: such rows are as good, and rare.
    same = (codes == want).all(axis=1)
    assert same.mean() > 0.9
    assert cost(weights - grid.weights(codes), gram) == pytest.approx(
        cost(weights - grid.weights(want), gram), rel=1e-2
    )


def test_no_feedback_gives_the_nearest_codes() -> None:
    weights, sizes = matrix(8, 96, 3), np.exp(np.linspace(-3, 3, 96)).astype(np.float32)
    grid = formats.find_grid("Q4_0", weights)

    codes = Feedback.of(np.diag(sizes), 0.0).round(weights, grid)

    assert np.array_equal(codes, formats.nearest_codes(grid, weights))


def few_levels(levels: list[float], weights: np.ndarray) -> formats.Grid:
    """A grid of steps of 0.1 that no format has."""
    n_rows, n_columns = weights.shape
    return formats.Grid(
        format="made up",
        group=n_columns,
        scale=np.full((n_rows, 1), 0.1, np.float32),
        offset=None,
        levels=np.array(levels, np.float32),
        parts=formats.Parts(scale=np.full((n_rows, 1), 0.1, np.float16)),
    )


def nearest(grid: formats.Grid, weights: np.ndarray) -> np.ndarray:
    """The codes whose values are nearest, on a grid of one scale."""
    values = np.float32(0.1) * grid.levels
    return np.abs(weights[..., None] - values).argmin(axis=2).astype(np.uint8)


def best_costs(weights: np.ndarray, grid: formats.Grid, gram: np.ndarray) -> np.ndarray:
    """What the best codes there are cost, (R,)."""
    every = np.array(list(itertools.product(0.1 * grid.levels, repeat=weights.shape[1])))
    errors = weights[:, None, :] - every
    return np.einsum("rck,kj,rcj->rc", errors, gram, errors).min(axis=1)


@pytest.mark.parametrize("levels", [[-1, 0, 1], [-2.0, -0.5, 0.5, 2.0]])
def test_tiny_matrices_come_close_to_the_best_codes_there_are(levels: list[float]) -> None:
    weights = np.clip(matrix(200, 5, 4), -0.12, 0.12)
    x = inputs(400, 5, 5)
    gram = gram_of(x)
    grid = few_levels(levels, weights)

    codes = Feedback.of(gram, 1e-6).round(weights, grid)

    best = best_costs(weights, grid, gram)
    errors = weights - grid.weights(codes)
    got = np.einsum("rk,kj,rj->r", errors, gram, errors)
    plain = weights - grid.weights(nearest(grid, weights))
    rounded = np.einsum("rk,kj,rj->r", plain, gram, plain)
    assert (got >= best * (1 - 1e-4)).all()
    assert (got <= best * 1.001 + 1e-9).mean() > 0.6  # and these are the best
    assert got.sum() - best.sum() < 0.5 * (rounded.sum() - best.sum())


def test_two_equal_inputs_share_an_error() -> None:
    # Both weights are nearest to 0; together they are worth a whole step.
    weights = np.array([[0.04, 0.04, 0.0]], np.float32)
    gram = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    grid = few_levels([-1, 0, 1], weights)

    codes = Feedback.of(gram, 0.01).round(weights, grid)

    assert codes.tolist() == [[1, 2, 1]]
    assert nearest(grid, weights).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("form", ["Q4_0", "Q4_1", "Q8_0"])
def test_gptq_costs_less_than_the_nearest_codes_on_tokens_held_out(form: str) -> None:
    weights, x = matrix(64, 128, 6), inputs(4000, 128, 7)
    trial = Trial(weights, formats.find_grid(form, weights))

    choose_dampings([trial], moments(x))

    assert trial.damping in DAMPINGS
    assert trial.cost < 0.7 * trial.nearest_cost


def test_few_tokens_ask_for_much_damping() -> None:
    weights = matrix(64, 128, 8)
    few, many = (
        Trial(weights, formats.find_grid("Q4_0", weights)),
        Trial(weights, formats.find_grid("Q4_0", weights)),
    )

    choose_dampings([few], moments(inputs(160, 128, 9, directions=128)))
    choose_dampings([many], moments(inputs(20_000, 128, 9, directions=128)))

    assert few.damping is not None
    assert many.damping is not None
    assert few.damping > many.damping


def test_nearest_codes_are_kept_where_feedback_does_harm() -> None:
    weights, x = matrix(16, 64, 10), inputs(60, 64, 11)
    other = np.random.default_rng(12).standard_normal((4000, 64)).astype(np.float32)
    trial = Trial(weights, formats.find_grid("Q4_0", weights))
    misleading = moments_of(((x, False), (other, True)), "x")

    choose_dampings([trial], misleading)

    assert trial.damping is None
    assert trial.cost == trial.nearest_cost


@pytest.mark.parametrize("form", ["Q4_0", "Q4_1"])
def test_codes_do_not_depend_on_threads_or_neighbouring_rows(form: str) -> None:
    weights, gram = matrix(40, 160, 13), gram_of(inputs(500, 160, 14))
    grid = formats.find_grid(form, weights)
    feedback = Feedback.of(gram, 0.01)

    codes = feedback.round(weights, grid, threads=1)

    assert np.array_equal(codes, feedback.round(weights, grid, threads=3))
    assert np.array_equal(codes, Feedback.of(gram, 0.01).round(weights, grid))


def test_a_dead_input_takes_no_part() -> None:
    weights, x = matrix(16, 64, 15), inputs(500, 64, 16)
    x[:, 7] = 0
    gram = gram_of(x)
    grid = formats.find_grid("Q4_0", weights)

    codes = Feedback.of(gram, 0.01).round(weights, grid)

    assert np.array_equal(codes[:, 7], formats.nearest_codes(grid, weights)[:, 7])
    other = weights.copy()
    other[:, 7] *= -0.5
    others = Feedback.of(gram, 0.01).round(other, grid)
    assert np.array_equal(np.delete(codes, 7, 1), np.delete(others, 7, 1))


def test_inputs_that_are_all_zero_give_the_nearest_codes() -> None:
    weights = matrix(4, 32, 17)
    grid = formats.find_grid("Q4_0", weights)

    codes = Feedback.of(np.zeros((32, 32), np.float32), 0.01).round(weights, grid)

    assert np.array_equal(codes, formats.nearest_codes(grid, weights))


def test_moments_that_are_not_positive_definite_are_damped_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gram = np.diag([1.0, 1.0, 1.0, -0.5]).astype(np.float32)

    with caplog.at_level(logging.WARNING):
        feedback = Feedback.of(gram, 0.01)

    assert feedback.asked == 0.01
    assert feedback.damping > 0.5
    assert "damping raised" in caplog.text


def test_moments_that_are_no_numbers_are_refused() -> None:
    gram = np.eye(8, dtype=np.float32)
    gram[3, 3] = np.nan

    with pytest.raises(NumericalError, match="second moments"):
        Feedback.of(gram, 0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": np.array([0, 0, 0, 1], np.int32)}, "no such group"),
        ({"levels": np.array([0, 1, 1], np.float32)}, "ascend"),
        ({"levels": np.zeros(0, np.float32)}, "levels"),
        ({"scales": np.ones((3, 1), np.float32)}, "grid"),
        ({"feedback": np.zeros((3, 4), np.float32)}, "fit each other"),
        ({"threads": 0}, "threads"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {
        "weights": np.zeros((2, 4), np.float32),
        "carried": np.zeros((2, 4), np.float32),
        "feedback": np.zeros((4, 4), np.float32),
        "scales": np.ones((2, 1), np.float32),
        "offsets": None,
        "groups": np.zeros(4, np.int32),
        "levels": np.array([-1, 0, 1], np.float32),
        "threads": 1,
    }

    with pytest.raises(ValueError, match=message):
        _native.round_columns(**(given | change))  # type: ignore[arg-type]


def test_moments_too_close_to_singular_for_float32_are_taken_in_float64() -> None:
    random = np.random.default_rng(18)
    x = random.standard_normal((64, 8)) @ random.standard_normal((8, 64))
    gram = gram_of(x.astype(np.float32))
    weights = matrix(4, 64, 19)
    grid = formats.find_grid("Q4_0", weights)

    rough = Feedback.of(gram, 1e-7, rough=True)

    assert rough.damping == Feedback.of(gram, 1e-7).damping
    costs = [
        cost(weights - grid.weights(each.round(weights, grid)), gram)
        for each in (rough, Feedback.of(gram, 1e-7))
    ]
    assert costs[0] == pytest.approx(costs[1], rel=0.2)
