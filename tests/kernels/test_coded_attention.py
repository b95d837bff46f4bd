"""Attention over int8 keys and values, on every instruction set: the contract's bits, and the real
softmax.
"""

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels import reference

ISAS = supported_isas()
N_KEYS = [1, 4, 15, 17, 31, 33, 63, 64, 65, 200]
HEAD_SIZES = [8, 16, 24, 32, 40, 64, 80, 96, 128]
# Of values up to about 4: half a step of their codes is 0.016.
TOLERANCE = 0.02


def inputs(
    n_queries: int, n_keys: int, d: int, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n_keys * 1000 + d)
    queries = (spread * rng.standard_normal((n_queries, d))).astype(np.float32)
    keys, values = rng.standard_normal((2, n_keys, d)).astype(np.float32)
    return queries, keys, values


def wanted(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    scale: float,
    spans: list[tuple[int, int]],
) -> np.ndarray:
    return np.stack(
        [
            reference.attend_codes(query, keys, values, scale, first, last)
            for query, (first, last) in zip(queries, spans, strict=True)
        ]
    )


@pytest.mark.parametrize("spread", [1.0, 100.0], ids=["even", "peaked"])
@pytest.mark.parametrize("d", HEAD_SIZES)
@pytest.mark.parametrize("n_keys", N_KEYS)
@pytest.mark.parametrize("isa", ISAS)
def test_attention_has_the_bits_of_the_reference(
    isa: str, n_keys: int, d: int, spread: float
) -> None:
    queries, keys, values = inputs(1, n_keys, d, spread)

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, d**-0.5, [(0, n_keys)])

    assert got.tobytes() == wanted(queries, keys, values, d**-0.5, [(0, n_keys)]).tobytes()


@pytest.mark.parametrize("n_queries", [1, 2, 3, 4, 5, 6, 7, 13, 25])
@pytest.mark.parametrize(("n_keys", "d"), [(63, 80), (65, 64), (200, 40), (130, 128)])
@pytest.mark.parametrize("isa", ISAS)
def test_queries_of_following_tokens_see_each_their_own_keys(
    isa: str, n_keys: int, d: int, n_queries: int
) -> None:
    queries, keys, values = inputs(n_queries, n_keys, d)
    spans = [(0, n_keys + 1 - n_queries + i) for i in range(n_queries)]

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, d**-0.5, spans)

    assert got.tobytes() == wanted(queries, keys, values, d**-0.5, spans).tobytes()


@pytest.mark.parametrize("window", [1, 2, 16, 31, 32, 33, 63, 64, 65, 100, 190])
@pytest.mark.parametrize("isa", ISAS)
def test_a_window_hides_all_keys_before_it(isa: str, window: int) -> None:
    queries, keys, values = inputs(7, 200, 64)
    spans = [(200 - 6 + i - window, 200 - 6 + i) for i in range(7)]

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, 0.125, spans)

    assert got.tobytes() == wanted(queries, keys, values, 0.125, spans).tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_what_a_query_does_not_see_may_be_no_number(isa: str) -> None:
    queries, keys, values = inputs(3, 100, 16)
    spans = [(70, 98), (70, 97), (71, 98)]
    want = _native.attend_codes(queries, keys, values, 0.25, spans)
    keys[:70], keys[98:] = np.inf, np.nan
    values[:70], values[98:] = np.nan, np.inf

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, 0.25, spans)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_codes_of_the_largest_magnitude_do_not_overflow(isa: str) -> None:
    queries = np.full((2, 64), -1, np.float32)
    keys = np.full((70, 64), -1, np.float32)
    values = np.where(np.arange(70)[:, None] % 2 == 0, np.float32(-1), np.float32(1))
    values = np.repeat(values, 64, axis=1)

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, 1.0, [(0, 70), (0, 1)])

    assert got[0] == pytest.approx(np.zeros(64), abs=1e-6)
    assert got[1] == pytest.approx(np.full(64, -1.0), rel=1e-6)


@pytest.mark.parametrize("d", HEAD_SIZES)
@pytest.mark.parametrize("n_keys", N_KEYS)
def test_attention_is_close_to_the_softmax_of_all_scores(n_keys: int, d: int) -> None:
    queries, keys, values = inputs(1, n_keys, d)
    scores = keys.astype(np.float64) @ queries[0] * d**-0.5
    weights = np.exp(scores - scores.max())
    exact = weights @ values / weights.sum()

    got = _native.attend_codes(queries, keys, values, d**-0.5, [(0, n_keys)])

    assert got[0] == pytest.approx(exact, abs=TOLERANCE)


@pytest.mark.parametrize("place", ["query", "key", "value"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_what_is_no_number_does_not_vanish(isa: str, bad: float, place: str) -> None:
    queries, keys, values = inputs(1, 130, 16)
    {"query": queries, "key": keys, "value": values}[place][0, 3] = bad

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, 1.0, [(0, 130)])

    assert np.isnan(got).all()


@pytest.mark.parametrize("isa", ISAS)
def test_keys_and_values_of_zero_give_zero(isa: str) -> None:
    zeros = np.zeros((5, 40), np.float32)

    with force_isa(isa):
        got = _native.attend_codes(zeros[:2], zeros, zeros, 1.0, [(0, 5), (2, 3)])

    assert (got == 0).all()


@pytest.mark.parametrize(
    ("keys", "values", "spans"),
    [
        ((3, 9), (3, 8), [(0, 3)]),
        ((3, 8), (2, 8), [(0, 3)]),
        ((3, 8), (3, 8), [(0, 4)]),
        ((3, 8), (3, 8), [(2, 2)]),
        ((3, 8), (3, 8), []),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    keys: tuple[int, int], values: tuple[int, int], spans: list[tuple[int, int]]
) -> None:
    query = np.zeros((1, 8), np.float32)

    with pytest.raises(ValueError, match="don't fit together"):
        _native.attend_codes(
            query, np.zeros(keys, np.float32), np.zeros(values, np.float32), 1.0, spans
        )
