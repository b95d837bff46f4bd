"""Second moments against float64, and inputs that have none."""

import numpy as np
import pytest

from aboard.errors import NumericalError
from aboard.quantize.moments import Moments, cost, moments_of, moments_of_all


def pieces(seed: int, sizes: list[int], columns: int = 24) -> list[tuple[np.ndarray, bool]]:
    random = np.random.default_rng(seed)
    return [
        ((10 * random.standard_normal((n, columns))).astype(np.float32), number % 3 == 2)
        for number, n in enumerate(sizes)
    ]


def test_moments_are_the_means_of_products_over_either_kind_of_tokens() -> None:
    given = pieces(1, [100, 7, 50, 300, 1, 20])

    found = moments_of(given, "blk.0.attn_q.weight")

    for held_out, gram, n_tokens in (
        (False, found.gram, found.n_tokens),
        (True, found.held_out, found.n_held_out),
    ):
        x = np.concatenate([piece for piece, kind in given if kind == held_out]).astype(np.float64)
        assert n_tokens == x.shape[0]
        np.testing.assert_allclose(gram, x.T @ x / x.shape[0], rtol=1e-5, atol=1e-3)
    every = np.concatenate([piece for piece, _ in given]).astype(np.float64)
    np.testing.assert_allclose(found.importances, (every**2).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.all_tokens(), every.T @ every / 478, rtol=1e-5, atol=1e-3)


def test_moments_of_all_tokens_decide_and_judge_alike() -> None:
    given = [piece for piece, _ in pieces(5, [100, 7, 50])]

    found = moments_of_all(given, "blk.0.attn_q.weight")

    x = np.concatenate(given).astype(np.float64)
    np.testing.assert_allclose(found.gram, x.T @ x / 157, rtol=1e-5, atol=1e-3)
    assert found.held_out.tobytes() == found.gram.tobytes() == found.all_tokens().tobytes()
    np.testing.assert_allclose(found.importances, (x**2).mean(axis=0), rtol=1e-5)


def test_cost_is_the_mean_square_of_what_errors_do_to_outputs() -> None:
    random = np.random.default_rng(2)
    x = random.standard_normal((500, 16)).astype(np.float32)
    errors = random.standard_normal((8, 16)).astype(np.float32)

    found = cost(errors, (x.T @ x) / np.float32(500))

    outputs = x.astype(np.float64) @ errors.T.astype(np.float64)
    assert found == pytest.approx((outputs**2).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
def test_inputs_beyond_float32_name_the_tensor(value: float) -> None:
    given = pieces(3, [10, 10, 10])
    given[0][0][3, 3] = value

    with pytest.raises(NumericalError, match=r"blk\.7\.ffn_down\.weight: inputs"):
        moments_of(given, "blk.7.ffn_down.weight")


def test_moments_do_not_depend_on_being_asked_twice() -> None:
    first, second = (moments_of(pieces(4, [64, 64, 64]), "x") for _ in range(2))

    assert isinstance(first, Moments)
    assert first.gram.tobytes() == second.gram.tobytes()
    assert first.held_out.tobytes() == second.held_out.tobytes()
