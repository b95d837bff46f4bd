"""Layer norm, GELU and lengths on every instruction set: the contract's bits, and accuracy."""

import math

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels import reference
from kernels.test_vectors import LENGTHS, any_floats, normal

ISAS = supported_isas()


@pytest.mark.parametrize("eps", [1e-12, 1e-5])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_layer_norm_has_the_bits_of_the_reference(isa: str, n: int, eps: float) -> None:
    x, weight, bias = normal(n, scale=3.0), normal(n, seed=1), normal(n, seed=2)

    with force_isa(isa):
        got = _native.layer_norm(x, weight, bias, eps)

    assert got.tobytes() == reference.layer_norm(x, weight, bias, eps).tobytes()


def test_layer_norm_is_close_to_the_real_one() -> None:
    x, weight, bias = (
        normal(384, scale=3.0) + np.float32(5),
        normal(384, seed=1),
        normal(384, seed=2),
    )
    wide = x.astype(np.float64)

    got = _native.layer_norm(x, weight, bias, 1e-5)

    exact = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5) * weight + bias
    assert np.abs(got - exact).max() < 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("isa", ISAS)
def test_layer_norm_hides_no_overflow(isa: str, bad: float) -> None:
    x = np.ones(40, np.float32)
    x[7] = bad

    with force_isa(isa):
        got = _native.layer_norm(x, x, x, 1e-12)

    assert np.isnan(got).all()


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_gelu_has_the_bits_of_the_reference(isa: str, n: int, scale: float) -> None:
    x = normal(n, scale=scale)

    with force_isa(isa):
        got = _native.gelu(x)
        want = reference.gelu(x)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_gelu_is_close_to_the_real_one(isa: str) -> None:
    x = np.linspace(-14, 14, 280_001, dtype=np.float32)
    exact = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])

    with force_isa(isa):
        got = _native.gelu(x)

    assert (np.abs(got - exact) / np.maximum(np.abs(x), 1)).max() < 1e-7
    near = np.abs(x) < 6  # in the tail as well: nothing cancels
    assert got[near] == pytest.approx(exact[near], rel=3e-6)


@pytest.mark.parametrize(
    ("x", "want"), [(0.0, 0.0), (100.0, 100.0), (-100.0, 0.0), (1e30, 1e30), (np.nan, np.nan)]
)
@pytest.mark.parametrize("isa", ISAS)
def test_gelu_at_the_borders_is(isa: str, x: float, want: float) -> None:
    with force_isa(isa):
        got = _native.gelu(np.array([x], np.float32))

    assert np.array_equal(got, np.array([want], np.float32), equal_nan=True)


@pytest.mark.parametrize("isa", ISAS)
def test_of_any_bits_gelu_is_the_same_everywhere(isa: str) -> None:
    x = any_floats(200_000)
    with force_isa("scalar"):
        want = _native.gelu(x)

    with force_isa(isa):
        got = _native.gelu(x)

    assert np.array_equal(got, want, equal_nan=True)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_a_length_has_the_bits_of_the_reference(isa: str, n: int) -> None:
    x = normal(n, scale=3.0)

    with force_isa(isa):
        got = _native.length(x)

    assert np.float32(got) == np.sqrt(reference.tree_sum(reference.lane_sums(x * x)))
