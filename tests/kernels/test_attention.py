"""Attention of one query on every instruction set: the contract's bits, and the real softmax."""

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels import reference

ISAS = supported_isas()
N_KEYS = [1, 15, 16, 17, 63, 64, 65, 200]
HEAD_SIZES = [8, 16, 40, 64, 80, 128]


def inputs(n_keys: int, d: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_keys * 1000 + d)
    query = (spread * rng.standard_normal(d)).astype(np.float32)
    keys, values = rng.standard_normal((2, n_keys, d)).astype(np.float32)
    return query, keys, values


@pytest.mark.parametrize("spread", [1.0, 100.0], ids=["even", "peaked"])
@pytest.mark.parametrize("d", HEAD_SIZES)
@pytest.mark.parametrize("n_keys", N_KEYS)
@pytest.mark.parametrize("isa", ISAS)
def test_attention_has_the_bits_of_the_reference(
    isa: str, n_keys: int, d: int, spread: float
) -> None:
    query, keys, values = inputs(n_keys, d, spread)
    scale = d**-0.5

    with force_isa(isa):
        got = _native.attend(query, keys, values, scale)
        want = reference.attend(query, keys, values, scale)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("halves", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("copies", [2, 3, 4, 5, 7])
@pytest.mark.parametrize(("n_keys", "d"), [(1, 8), (63, 80), (65, 64), (200, 40), (130, 128)])
@pytest.mark.parametrize("isa", ISAS)
def test_queries_taken_together_get_the_bits_of_one_alone(
    isa: str, n_keys: int, d: int, copies: int, halves: bool
) -> None:
    query, *pair = inputs(n_keys, d)
    keys, values = (each.astype(np.float16).astype(np.float32) for each in pair)

    with force_isa(isa):
        got = _native.attend(query, keys, values, d**-0.5, copies=copies, halves=halves)
        want = reference.attend(query, keys, values, d**-0.5)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("window", [1, 2, 16, 63, 64, 65, 100, 199, 200, 300])
@pytest.mark.parametrize("isa", ISAS)
def test_a_window_hides_all_keys_before_it(isa: str, window: int) -> None:
    query, keys, values = inputs(200, 64)
    first = max(200 - window, 0)

    with force_isa(isa):
        got = _native.attend(query, keys, values, 0.125, window=window, copies=3)
        want = reference.attend(query, keys, values, 0.125, first=first)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_what_a_window_hides_may_be_no_number(isa: str) -> None:
    query, keys, values = inputs(100, 16)
    want = _native.attend(query, keys, values, 0.25, window=30)
    keys[:70] = np.inf
    values[:70] = np.nan

    with force_isa(isa):
        got = _native.attend(query, keys, values, 0.25, window=30, copies=2)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("d", HEAD_SIZES)
@pytest.mark.parametrize("n_keys", N_KEYS)
def test_attention_is_close_to_the_softmax_of_all_scores(n_keys: int, d: int) -> None:
    query, keys, values = inputs(n_keys, d)
    scores = keys.astype(np.float64) @ query * d**-0.5
    weights = np.exp(scores - scores.max())
    exact = weights @ values / weights.sum()

    got = _native.attend(query, keys, values, d**-0.5)

    assert got == pytest.approx(exact, abs=2e-6)


@pytest.mark.parametrize("isa", ISAS)
def test_a_later_chunk_with_a_far_higher_score_leaves_nothing_of_the_earlier(isa: str) -> None:
    keys = np.zeros((130, 16), np.float32)
    keys[129] = 100
    values = np.repeat(np.arange(130, dtype=np.float32)[:, None], 16, axis=1)

    with force_isa(isa):
        got = _native.attend(np.ones(16, np.float32), keys, values, 1.0)

    assert (got == 129).all()


@pytest.mark.parametrize("isa", ISAS)
def test_scores_of_the_lowest_numbers_are_still_shared_out(isa: str) -> None:
    keys = np.full((70, 16), -1e30, np.float32)
    values = np.repeat(np.arange(70, dtype=np.float32)[:, None], 16, axis=1)

    with force_isa(isa):
        got = _native.attend(np.ones(16, np.float32), keys, values, 1.0)

    assert got == pytest.approx(np.full(16, 34.5), rel=1e-6)


@pytest.mark.parametrize("at", [0, 63, 64, 129])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_a_key_that_is_no_number_does_not_vanish(isa: str, bad: float, at: int) -> None:
    query, keys, values = inputs(130, 16)
    query[3], keys[at, 3] = 1.0, bad

    with force_isa(isa):
        got = _native.attend(query, keys, values, 1.0)

    assert np.isnan(got).all()


@pytest.mark.parametrize("isa", ISAS)
def test_a_value_that_is_no_number_spoils_its_own_place_alone(isa: str) -> None:
    query, keys, values = inputs(70, 40)
    sound = _native.attend(query, keys, values, 1.0)
    values[66, 5] = np.nan

    with force_isa(isa):
        got = _native.attend(query, keys, values, 1.0)

    assert np.isnan(got).nonzero()[0].tolist() == [5]
    assert np.delete(got, 5).tobytes() == np.delete(sound, 5).tobytes()


@pytest.mark.parametrize(
    ("d", "keys", "values"),
    [(8, (0, 8), (0, 8)), (8, (3, 8), (2, 8)), (8, (3, 9), (3, 9)), (0, (3, 0), (3, 0))],
)
def test_shapes_that_do_not_fit_are_refused(
    d: int, keys: tuple[int, int], values: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="don't fit together"):
        _native.attend(
            np.zeros(d, np.float32), np.zeros(keys, np.float32), np.zeros(values, np.float32), 1.0
        )
