"""The sampler against its definition, written again here in float64 NumPy."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from aboard import _native
from aboard.engine.sampling import Draw, Sampling, top_logprobs

INF = math.inf

# What the last test of "reproducibility" has drawn since numerics version 1 began.
GOLDEN_TOKENS = [1885, 1350, 2700, 2748, 3425, 1206, 3038, 1644]
GOLDEN_SHA256 = "203901370e10015da7088d9acda74ac782627b65b6e351aa9e50b748b42e8e3b"


def random_logits(vocabulary: int, seed: int = 0, scale: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, vocabulary).astype(np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    x = logits.astype(np.float64) - logits.max()
    return x - np.log(np.exp(x).sum())


def probabilities(
    logits: np.ndarray, *, temperature: float, top_k: int = 0, top_p: float = 1, min_p: float = 0
) -> np.ndarray:
    """What is left of the softmax after the filters, in float64, from their definitions."""
    order = np.lexsort((np.arange(len(logits)), -logits.astype(np.float64)))
    x = logits[order].astype(np.float64) / temperature
    p = np.exp(x - x.max())
    p[top_k or len(p) :] = 0
    p /= p.sum()
    p[1:][np.cumsum(p)[:-1] >= top_p] = 0
    p[p < min_p * p[0]] = 0
    kept = np.zeros_like(p)
    kept[order] = p / p.sum()
    return kept


def uniform(seed: int, position: int) -> float:
    low, high = position & 0xFFFFFFFF, position >> 32
    words = _native.philox4x32(low, high, 0, 0, seed & 0xFFFFFFFF, seed >> 32)
    return (words[1] * 2**32 + words[0]) / 2**64


def expected_draws(kept: np.ndarray, seed: int, positions: range) -> list[int]:
    """Inverse of the cumulative distribution, over the tokens in order of their ids."""
    u = [uniform(seed, position) for position in positions]
    return np.searchsorted(np.cumsum(kept), u, side="right").tolist()


def draws(sampling: Sampling, logits: np.ndarray, positions: range, **kwargs: Any) -> list[int]:
    return [sampling.draw(logits, position=p, **kwargs).token for p in positions]


# --- greedy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [1, 2, 15, 16, 17, 63, 64, 65, 1000, 49_152])
def test_greedy_takes_the_highest_logit(vocabulary: int) -> None:
    logits = random_logits(vocabulary)

    draw = Sampling().draw(logits)

    assert draw.token == int(logits.argmax())
    assert draw.logprob == pytest.approx(log_softmax(logits).max(), rel=1e-6)


@pytest.mark.parametrize("place", [0, 16, 63, 64, 127, 998])
def test_greedy_takes_the_lower_id_of_equal_logits(place: int) -> None:
    logits = random_logits(1000)
    logits[[place, 999]] = 50

    assert Sampling().draw(logits).token == place


def test_negative_zero_ties_with_zero() -> None:
    logits = np.array([-1, -0.0, 0.0], np.float32)

    assert Sampling().draw(logits).token == 1
    assert set(draws(Sampling(temperature=1, top_k=1), logits, range(20))) == {1}
    assert top_logprobs(logits, 3)[0].tolist() == [1, 2, 0]


# --- filters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", [5, 64, 1003])
@pytest.mark.parametrize(
    "filters",
    [
        {"temperature": 1.0},
        {"temperature": 0.7},
        {"temperature": 5.0},
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 2.0, "top_k": 4},
        {"temperature": 3.0, "top_k": 63},
        {"temperature": 1.0, "top_k": 10_000},
        {"temperature": 1.0, "top_p": 0.0},
        {"temperature": 1.0, "top_p": 0.5},
        {"temperature": 2.0, "top_p": 0.95},
        {"temperature": 9.0, "top_p": 0.999},
        {"temperature": 1.0, "min_p": 0.1},
        {"temperature": 4.0, "min_p": 0.02},
        {"temperature": 1.0, "min_p": 1.0},
        {"temperature": 1.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05},
        {"temperature": 4.0, "top_k": 50, "top_p": 0.6},
        {"temperature": 4.0, "top_p": 0.8, "min_p": 0.2},
    ],
    ids=str,
)
def test_draws_follow_the_definition_of(filters: dict[str, Any], vocabulary: int) -> None:
    logits = random_logits(vocabulary, seed=vocabulary)
    positions = range(300)

    got = draws(Sampling(seed=11, **filters), logits, positions)

    assert got == expected_draws(probabilities(logits, **filters), 11, positions)


def test_top_k_keeps_the_lower_ids_of_equal_logits() -> None:
    logits = np.zeros(200, np.float32)
    logits[150] = 1

    got = draws(Sampling(temperature=1, top_k=3), logits, range(200))

    assert set(got) == {0, 1, 150}


def test_top_p_keeps_the_lower_ids_of_equal_logits() -> None:
    logits = np.zeros(200, np.float32)

    got = draws(Sampling(temperature=1, top_p=0.0251), logits, range(200))

    assert set(got) == {0, 1, 2, 3, 4, 5}


def test_min_p_keeps_all_tokens_that_tie_with_the_first() -> None:
    logits = np.array([1, 3, 3, 2.999, 3], np.float32)

    assert set(draws(Sampling(temperature=1, min_p=1), logits, range(100))) == {1, 2, 4}


def test_draws_follow_the_softmax_in_number() -> None:
    logits = random_logits(8, seed=3, scale=1.0)
    n = 20_000

    counts = np.bincount(draws(Sampling(temperature=1, seed=5), logits, range(n)), minlength=8)

    expected = n * np.exp(log_softmax(logits))
    # Chi-square with 7 degrees of freedom stays below 24.3 in 999 of 1000 cases.
    assert ((counts - expected) ** 2 / expected).sum() < 24.3


# --- bias and penalties -------------------------------------------------------------------------


def test_repetition_penalty_follows_its_formula() -> None:
    logits, context = random_logits(64), [3, 60, 3, 17, 0, 3]
    penalised = logits.copy()
    seen = sorted(set(context))
    penalised[seen] = np.where(logits[seen] < 0, logits[seen] * 1.3, logits[seen] / 1.3)
    sampling = Sampling(temperature=2, repetition_penalty=1.3)

    got = draws(sampling, logits, range(300), context=context, n_prompt=4)

    assert got == expected_draws(probabilities(penalised, temperature=2), 0, range(300))


def test_frequency_and_presence_penalties_count_the_generated_tokens() -> None:
    logits, context = random_logits(64), [9, 9, 4, 3, 60, 3, 17, 0, 3]
    penalised = logits.copy()
    penalised[[3, 60, 17, 0]] -= np.array([3, 1, 1, 1], np.float32) * 0.5 + 1.25
    sampling = Sampling(temperature=2, frequency_penalty=0.5, presence_penalty=1.25)

    got = draws(sampling, logits, range(300), context=context, n_prompt=3)

    assert got == expected_draws(probabilities(penalised, temperature=2), 0, range(300))


def test_negative_penalties_favour_what_was_said() -> None:
    logits = np.array([1, 0.5, 0], np.float32)

    draw = Sampling(presence_penalty=-2).draw(logits, [2])

    assert draw.token == 2


def test_bias_comes_before_the_repetition_penalty() -> None:
    # (2 + 2) / 2 = 2 against 2.5; the other way round it would be 2 / 2 + 2 = 3.
    logits = np.array([2, 2.5], np.float32)

    draw = Sampling(repetition_penalty=2, logit_bias={0: 2}).draw(logits, [0])

    assert draw.token == 1


def test_repetition_comes_before_the_presence_penalty() -> None:
    # 4 / 2 - 1 = 1 against 1.25; the other way round it would be (4 - 1) / 2 = 1.5.
    logits = np.array([4, 1.25], np.float32)

    draw = Sampling(repetition_penalty=2, presence_penalty=1).draw(logits, [0])

    assert draw.token == 1


def test_penalties_act_before_the_temperature() -> None:
    logits = np.array([3, 2.5], np.float32)

    assert Sampling(frequency_penalty=1, temperature=0).draw(logits, [0]).token == 1


def test_penalties_leave_no_trace_in_later_draws() -> None:
    logits = random_logits(64)
    Sampling(repetition_penalty=1.5, frequency_penalty=1).draw(logits, [1, 1, 2])

    draw = Sampling(frequency_penalty=2).draw(np.array([3, 2.5, 0], np.float32), [2])

    assert draw.token == 0


def test_bias_of_minus_infinity_forbids_a_token() -> None:
    logits = np.array([0, INF, 1], np.float32)

    assert Sampling(logit_bias={1: -INF}).draw(logits).token == 2


def test_raw_logits_are_left_as_they_were() -> None:
    logits = random_logits(100)
    before = logits.copy()

    Sampling(temperature=1, repetition_penalty=1.5, logit_bias={7: 3}).draw(logits, [1, 2])

    np.testing.assert_array_equal(logits, before)


# --- masks and infinities -----------------------------------------------------------------------


def test_masked_tokens_are_never_drawn() -> None:
    logits = np.full(500, -INF, np.float32)
    logits[[3, 77, 499]] = [1, 0, 0.5]

    got = draws(Sampling(temperature=10, top_k=10, top_p=0.999), logits, range(100))

    assert set(got) == {3, 77, 499}


def test_infinite_logits_share_all_the_probability() -> None:
    logits = np.array([0, INF, 5, INF], np.float32)

    draw = Sampling(temperature=1).draw(logits)

    assert set(draws(Sampling(temperature=1), logits, range(50))) == {1, 3}
    assert draw.logprob == pytest.approx(math.log(0.5), rel=1e-6)
    assert top_logprobs(logits, 3)[1].tolist() == [draw.logprob, draw.logprob, -INF]


@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 1e300])
def test_extreme_temperatures_draw_a_token(temperature: float) -> None:
    logits = np.array([1, -3e38, 2, -INF], np.float32)

    assert Sampling(temperature=temperature).draw(logits).token in {0, 1, 2}


# --- reproducibility ----------------------------------------------------------------------------


def test_a_seed_names_its_tokens() -> None:
    logits, sampling = random_logits(1000), Sampling(temperature=2, seed=2**64 - 1)

    forward = draws(sampling, logits, range(50))
    backward = draws(sampling, logits, range(49, -1, -1))

    assert forward == backward[::-1]
    assert forward != draws(Sampling(temperature=2, seed=1), logits, range(50))


def test_positions_draw_apart() -> None:
    logits, sampling = np.zeros(1 << 16, np.float32), Sampling(temperature=1)
    positions = [0, 1, 2, 2**32, 2**32 + 1, 2**64 - 1]

    assert len({sampling.draw(logits, position=p).token for p in positions}) == len(positions)


def test_threads_draw_what_one_thread_draws() -> None:
    logits, sampling = random_logits(5000), Sampling(temperature=1, top_p=0.9, top_k=500)

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda p: sampling.draw(logits, position=p), range(200)))

    assert got == [sampling.draw(logits, position=p) for p in range(200)]


def test_numerics_version_1_keeps_its_tokens_and_bits() -> None:
    # Made once, and equal for g++ and clang, x86-64 and AArch64: a change bumps the version.
    logits = (np.arange(4096) * 7919 % 4001 / 400).astype(np.float32)
    sampling = Sampling(temperature=0.8, top_p=0.95, min_p=0.01, repetition_penalty=1.1, seed=42)

    got = [sampling.draw(logits, [5, 9], p) for p in range(64)]

    assert [draw.token for draw in got[:8]] == GOLDEN_TOKENS
    bits = np.array([draw.token for draw in got], "<i4").tobytes()
    bits += np.array([draw.logprob for draw in got], "<f4").tobytes()
    bits += top_logprobs(logits, 100)[1].astype("<f4").tobytes()
    assert hashlib.sha256(bits).hexdigest() == GOLDEN_SHA256


# --- log-probabilities --------------------------------------------------------------------------


@pytest.mark.parametrize(("vocabulary", "n"), [(1, 1), (50, 50), (1003, 20), (5000, 0), (5000, 90)])
def test_top_logprobs_are_those_of_the_softmax(vocabulary: int, n: int) -> None:
    logits = random_logits(vocabulary, seed=n)
    order = np.argsort(-logits, kind="stable")[:n]

    tokens, logprobs = top_logprobs(logits, n)

    assert (tokens.dtype, logprobs.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(tokens, order)
    np.testing.assert_allclose(logprobs, log_softmax(logits)[order], rtol=1e-6, atol=1e-7)


def test_logprob_is_that_of_the_raw_logits() -> None:
    logits = random_logits(300)
    sampling = Sampling(temperature=3, top_k=20, repetition_penalty=2, logit_bias={4: 20})

    draw = sampling.draw(logits, [4, 5])

    assert draw.logprob == pytest.approx(log_softmax(logits)[draw.token], rel=1e-6)


def test_logprob_can_be_left_out() -> None:
    assert Sampling().draw(np.array([1, 2], np.float32), logprob=False) == Draw(1, None)


def test_rows_of_a_batch_need_not_be_contiguous() -> None:
    batch = np.stack([random_logits(100), random_logits(100, seed=1)], axis=1)

    assert Sampling().draw(batch[:, 1]) == Sampling().draw(random_logits(100, seed=1))
