"""The step of a gated delta net and its gates on every instruction set: the contract's bits."""

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels.test_vectors import LENGTHS, normal

ISAS = supported_isas()
ONE = np.float32(1)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_silu_and_sigmoid_gates_have_the_bits_of_the_contract(
    isa: str, n: int, scale: float
) -> None:
    x, gate = normal(n), normal(n, seed=1, scale=scale)

    with force_isa(isa):
        silu, gated = _native.silu(gate), _native.gate_by_sigmoid(x, gate)
        open_ = ONE + _native.exp(np.float32(0) - gate)

    assert silu.tobytes() == (gate / open_).tobytes()
    assert gated.tobytes() == (x / open_).tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_they_are_close_to_the_real_ones(isa: str) -> None:
    x = np.linspace(-80, 80, 4001, dtype=np.float32)
    sigmoid = 1 / (1 + np.exp(-x.astype(np.float64)))

    with force_isa(isa):
        silu, gated = _native.silu(x), _native.gate_by_sigmoid(np.ones_like(x), x)

    assert silu == pytest.approx(x * sigmoid, rel=1e-6)
    assert gated == pytest.approx(sigmoid, rel=1e-6)


def step(
    state: np.ndarray,
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    decay: float,
    beta: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The rule written out: one row of the state after the other, all operations in float32."""
    state = state * np.float32(decay)
    known = np.zeros(value.size, np.float32)
    for row, weight in zip(state, key, strict=True):
        known = known + row * weight
    lacking = (value - known) * np.float32(beta)
    learnt = np.stack([row + weight * lacking for row, weight in zip(state, key, strict=True)])
    out = np.zeros(value.size, np.float32)
    for row, weight in zip(learnt, query, strict=True):
        out = out + row * weight
    return learnt, out


@pytest.mark.parametrize(("d_key", "d_value"), [(1, 1), (12, 12), (20, 33), (64, 16), (128, 128)])
@pytest.mark.parametrize("isa", ISAS)
def test_a_step_of_a_delta_net_has_the_bits_of_the_rule(isa: str, d_key: int, d_value: int) -> None:
    state = normal(d_key * d_value).reshape(d_key, d_value)
    query, key, value = normal(d_key, 1), normal(d_key, 2), normal(d_value, 3)
    want_state, want_out = state, value

    with force_isa(isa):
        got_state = state
        for decay, beta in ((0.9, 0.5), (0.25, 1.0), (1.0, 0.125)):
            got_state, got_out = _native.delta_step(got_state, query, key, value, decay, beta)
            want_state, want_out = step(want_state, query, key, value, decay, beta)

    assert got_state.tobytes() == want_state.tobytes()
    assert got_out.tobytes() == want_out.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_steps_of_other_shapes_are_refused(isa: str) -> None:
    state = normal(12).reshape(3, 4)

    with force_isa(isa), pytest.raises(ValueError, match="differ in size"):
        _native.delta_step(state, normal(3), normal(4), normal(4), 1.0, 1.0)
    with force_isa(isa), pytest.raises(ValueError, match="differ in size"):
        _native.gate_by_sigmoid(normal(3), normal(4))
