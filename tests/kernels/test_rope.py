"""Rotary angles against the definition in NumPy's double precision."""

import numpy as np
import pytest

from aboard import _native

POSITIONS = [0, 1, 2, 63, 64, 1000, 4095, 8191, 32767, 100_003, 131_071]


def exact_frequencies(base: float, dims: int, factors: object = 1.0, scale: float = 1.0) -> object:
    return base ** (-np.arange(0, dims, 2, dtype=np.float64) / dims) / factors * scale


@pytest.mark.parametrize("dims", [2, 8, 40, 64, 80, 128, 256])
@pytest.mark.parametrize("base", [100.0, 10_000.0, 100_000.0, 500_000.0, 1e6, 1e7])
def test_frequencies_are_powers_of_the_base(base: float, dims: int) -> None:
    got = _native.rope_frequencies(base, dims)

    assert got[0] == 1.0
    assert got == pytest.approx(exact_frequencies(base, dims), rel=5e-15)


def test_factors_divide_and_the_scale_multiplies() -> None:
    factors = np.linspace(1, 32, 32)

    got = _native.rope_frequencies(500_000.0, 64, factors.tolist(), 0.25)

    assert got == pytest.approx(exact_frequencies(500_000.0, 64, factors, 0.25), rel=5e-15)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_angles_are_cosines_and_sines_rounded_once(base: float, position: int) -> None:
    frequencies = _native.rope_frequencies(base, 128)
    angles = position * np.array(frequencies)
    exact = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    got = _native.rope_angles(frequencies, position)

    # Half a unit in the last place of float32, and what double precision loses before it.
    assert (np.abs(got - exact) <= 2.0**-24 * np.abs(exact) + 4e-16).all()


def test_angles_at_the_edges_of_the_quadrants_fall_on_the_right_side() -> None:
    edges = np.pi / 4 * np.arange(1, 4001)
    angles = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, np.inf)])
    exact = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    got = _native.rope_angles(angles.tolist(), 1)

    assert (np.abs(got - exact) <= 2.0**-24 * np.abs(exact) + 4e-16).all()
    assert (np.sign(got) == np.sign(exact.astype(np.float32))).all()


def test_angles_of_many_positions_stay_on_the_circle() -> None:
    frequencies = np.linspace(0, 131_071, 20_001).tolist()

    got = _native.rope_angles(frequencies, 1).astype(np.float64)

    assert np.hypot(got[:, 0], got[:, 1]) == pytest.approx(np.ones(20_001), abs=1e-7)


def test_a_factor_lets_cosines_and_sines_grow() -> None:
    plain = _native.rope_angles([1.0, 0.5, 1e-9], 5000)

    got = _native.rope_angles([1.0, 0.5, 1e-9], 5000, 1.19)

    assert got == pytest.approx(plain.astype(np.float64) * 1.19, rel=2e-7)


def test_position_0_turns_nothing() -> None:
    assert _native.rope_angles([1.0, 0.5, 1e-9], 0).tolist() == [[1.0, 0.0]] * 3


def test_factors_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="one factor for each pair"):
        _native.rope_frequencies(10_000.0, 64, [1.0, 2.0])
