"""GELU gates and soft caps on every instruction set: the contract's bits, the real functions."""

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels import reference
from kernels.test_vectors import LENGTHS, any_floats, normal

ISAS = supported_isas()
CAPS = [0.7, 30.0, 50.0]


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_geglu_has_the_bits_of_the_reference(isa: str, n: int, scale: float) -> None:
    gate, up = normal(n, scale=scale), normal(n, seed=1)

    with force_isa(isa):
        got = _native.geglu(gate, up)
        want = reference.geglu(gate, up)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_geglu_is_close_to_gelu_by_tanh(isa: str) -> None:
    gate = np.linspace(-12, 12, 24001, dtype=np.float32)
    x = gate.astype(np.float64)
    exact = x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))

    with force_isa(isa):
        got = _native.geglu(gate, np.ones_like(gate))

    # Where 1 + tanh(u) cancels, double precision is what is off.
    assert got == pytest.approx(exact, rel=1e-5, abs=1e-14)
    assert np.abs(got - exact).max() < 1e-6


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_soft_caps_have_the_bits_of_the_reference(isa: str, n: int, cap: float) -> None:
    x = normal(n, scale=20.0)

    with force_isa(isa):
        got = _native.soft_cap(x, cap)
        want = reference.soft_cap(x, cap)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_tanh_is_within_two_units_in_the_last_place(isa: str) -> None:
    x = np.concatenate(
        [np.linspace(-10, 10, 400_001, dtype=np.float32), normal(10_000, scale=1e-3)]
    )
    exact = np.tanh(x.astype(np.float64))

    with force_isa(isa):
        got = _native.soft_cap(x, 1.0)

    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert np.abs((got - exact) / unit).max() <= 2


@pytest.mark.parametrize(
    ("x", "want"),
    [(0.0, 0.0), (1e30, 30.0), (-1e30, -30.0), (np.inf, 30.0), (-np.inf, -30.0), (np.nan, np.nan)],
)
@pytest.mark.parametrize("isa", ISAS)
def test_a_soft_cap_at_the_borders_is(isa: str, x: float, want: float) -> None:
    with force_isa(isa):
        got = _native.soft_cap(np.array([x], np.float32), 30.0)

    assert np.array_equal(got, np.array([want], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "function", [lambda x: _native.soft_cap(x, 2.5), lambda x: _native.geglu(x, x)]
)
@pytest.mark.parametrize("isa", ISAS)
def test_of_any_bits_they_are_the_same_everywhere(isa: str, function: object) -> None:
    assert callable(function)
    x = any_floats(200_000)
    with force_isa("scalar"):
        want = function(x)

    with force_isa(isa):
        got = function(x)

    assert np.array_equal(got, want, equal_nan=True)


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("copies", [1, 3, 5])
@pytest.mark.parametrize("halves", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize(("n_keys", "d"), [(1, 8), (63, 80), (65, 64), (200, 40)])
@pytest.mark.parametrize("isa", ISAS)
def test_attention_with_capped_scores_has_the_bits_of_the_reference(
    isa: str, n_keys: int, d: int, halves: bool, copies: int, cap: float
) -> None:
    rng = np.random.default_rng(n_keys)
    query = (20 * rng.standard_normal(d)).astype(np.float32)
    keys, values = rng.standard_normal((2, n_keys, d)).astype(np.float16).astype(np.float32)

    with force_isa(isa):
        got = _native.attend(
            query, keys, values, d**-0.5, window=150, copies=copies, halves=halves, cap=cap
        )
        want = reference.attend(query, keys, values, d**-0.5, max(n_keys - 150, 0), cap)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize(("n_keys", "d"), [(1, 8), (63, 80), (65, 64), (200, 40)])
@pytest.mark.parametrize("isa", ISAS)
def test_attention_to_codes_with_capped_scores_has_the_bits_of_the_reference(
    isa: str, n_keys: int, d: int, cap: float
) -> None:
    rng = np.random.default_rng(n_keys)
    queries = (20 * rng.standard_normal((5, d))).astype(np.float32)
    keys, values = rng.standard_normal((2, n_keys, d)).astype(np.float32)
    span = (max(n_keys - 150, 0), n_keys)

    with force_isa(isa):
        got = _native.attend_codes(queries, keys, values, d**-0.5, [span] * 5, cap)
        want = [
            reference.attend_codes(query, keys, values, d**-0.5, *span, cap) for query in queries
        ]

    assert got.tobytes() == np.stack(want).tobytes()
