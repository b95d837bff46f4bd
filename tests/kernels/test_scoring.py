"""Losses, top tokens and KL divergences of rows, on every instruction set, against NumPy."""

import math

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas

ISAS = supported_isas()
LENGTHS = [1, 2, 15, 16, 17, 259, 4096 + 7]

each_isa = pytest.mark.parametrize("isa", ISAS)
each_length = pytest.mark.parametrize("n", LENGTHS)


def rows(n: int, seed: int, scale: float = 5.0, count: int = 6) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, n)) * scale).astype(np.float32)


def tokens(n: int, count: int = 6) -> np.ndarray:
    return np.random.default_rng(9).integers(0, n, count).astype(np.int32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def divergence(reference: np.ndarray, logits: np.ndarray) -> np.ndarray:
    p, q = log_softmax(reference), log_softmax(logits)
    return (np.exp(p) * (p - q)).sum(axis=1)


@each_isa
@each_length
def test_losses_are_those_of_numpy(isa: str, n: int) -> None:
    logits, following = rows(n, 1), tokens(n)

    with force_isa(isa):
        losses, tops = _native.score_rows(logits, following)

    want = -log_softmax(logits)[np.arange(6), following]
    np.testing.assert_allclose(losses, want, rtol=1e-14, atol=1e-14)
    assert tops.tolist() == logits.argmax(axis=1).tolist()


@each_isa
@each_length
def test_divergences_are_those_of_numpy(isa: str, n: int) -> None:
    reference, logits, following = rows(n, 1), rows(n, 2), tokens(n)

    with force_isa(isa):
        theirs, their_tops, own, tops, found = _native.compare_rows(reference, logits, following)

    np.testing.assert_allclose(found, divergence(reference, logits), rtol=1e-12, atol=1e-13)
    alone = [_native.score_rows(each, following) for each in (reference, logits)]
    assert theirs.tobytes() == alone[0][0].tobytes()
    assert own.tobytes() == alone[1][0].tobytes()
    assert their_tops.tolist() == alone[0][1].tolist()
    assert tops.tolist() == alone[1][1].tolist()


@each_isa
@each_length
def test_every_instruction_set_gives_the_same_bits(isa: str, n: int) -> None:
    arrays = rows(n, 3, scale=40.0), rows(n, 4, scale=40.0), tokens(n)
    with force_isa("scalar"):
        want = _native.compare_rows(*arrays)

    with force_isa(isa):
        found = _native.compare_rows(*arrays)

    assert [each.tobytes() for each in found] == [each.tobytes() for each in want]


@each_isa
def test_exponentials_are_those_of_the_sampler(isa: str) -> None:
    x = np.concatenate([[0.0], -np.geomspace(1e-6, 700, 300)]).astype(np.float32)
    pairs = np.stack([np.zeros_like(x), x], axis=1)  # 1 + e^x
    want = _native.scalar_exp_of_non_positive(x.astype(float).tolist())

    with force_isa(isa):
        losses, _ = _native.score_rows(pairs, np.zeros(x.size, np.int32))

    assert losses.tolist() == _native.scalar_log([1.0 + each for each in want])


@each_isa
def test_equal_rows_diverge_by_nothing(isa: str) -> None:
    logits = rows(259, 5, scale=30.0)

    with force_isa(isa):
        found = _native.compare_rows(logits, logits.copy(), tokens(259))[4]

    assert found.tolist() == [0.0] * 6


def test_two_coins_diverge_as_in_the_book() -> None:
    reference = np.log(np.array([[0.5, 0.5]])).astype(np.float32)
    logits = np.log(np.array([[0.25, 0.75]])).astype(np.float32)

    found = _native.compare_rows(reference, logits, np.array([1], np.int32))

    assert found[4][0] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-7)
    assert found[0][0] == pytest.approx(math.log(2), abs=1e-7)
    assert found[2][0] == pytest.approx(math.log(4 / 3), abs=1e-7)


@each_isa
def test_of_several_likeliest_tokens_the_lowest_counts(isa: str) -> None:
    logits = np.zeros((3, 300), np.float32)
    logits[0, [299, 40, 17]] = 2.0
    logits[1, 299] = 2.0

    with force_isa(isa):
        _, tops = _native.score_rows(logits, np.zeros(3, np.int32))

    assert tops.tolist() == [17, 299, 0]


@each_isa
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 20, 258])
def test_a_row_that_is_not_finite_has_no_scores(isa: str, at: int, value: float) -> None:
    logits = rows(259, 6)
    logits[2, at] = value

    with force_isa(isa):
        losses, tops = _native.score_rows(logits, tokens(259))
        pair = _native.compare_rows(rows(259, 7), logits, tokens(259))

    assert np.flatnonzero(np.isnan(losses)).tolist() == [2]
    assert np.flatnonzero(tops < 0).tolist() == [2]
    assert np.flatnonzero(np.isnan(pair[4])).tolist() == [2]
    assert np.flatnonzero(pair[3] < 0).tolist() == [2]
    assert (pair[1] >= 0).all()


def test_the_largest_floats_lose_nothing() -> None:
    largest = np.finfo(np.float32).max
    logits = np.array([[largest, largest, -largest]], np.float32)

    losses, _ = _native.score_rows(logits, np.array([1], np.int32))

    assert losses[0] == pytest.approx(math.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("logits", "following", "message"),
    [
        ((2, 5), [0], "1 tokens for 2 rows"),
        ((2, 5), [0, 5], "token 5 is not in the vocabulary of 5"),
        ((2, 5), [-1, 0], "token -1"),
        ((1, 0), [0], "vocabulary of 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    logits: tuple[int, int], following: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _native.score_rows(np.zeros(logits, np.float32), np.array(following, np.int32))


def test_rows_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        _native.compare_rows(
            np.zeros((2, 5), np.float32), np.zeros((2, 6), np.float32), np.zeros(2, np.int32)
        )
