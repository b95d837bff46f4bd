"""Quantisation, norm, activation, exp and float16 on every instruction set."""

import numpy as np
import pytest

from aboard import _native
from aboard.engine.device import force_isa, supported_isas
from kernels import reference

ISAS = supported_isas()
LENGTHS = [1, 7, 15, 16, 17, 31, 32, 33, 64, 172, 576]


def normal(n: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(n) * scale).astype(np.float32)


def any_floats(n: int, seed: int = 0) -> np.ndarray:
    """Float32 of any bits, NaN and infinities among them."""
    return np.random.default_rng(seed).integers(0, 2**32, n, np.uint32).view(np.float32)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_quantised_blocks_are_those_of_the_reference(isa: str, n: int) -> None:
    x = normal(n)
    want_codes, want_scales = reference.quantize(x[None])

    with force_isa(isa):
        codes, scales = _native.quantize(x)

    assert codes.tobytes() == want_codes.tobytes()
    assert scales.tobytes() == want_scales.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_quantised_blocks_of_any_bits_are_those_of_the_reference(isa: str) -> None:
    exponents = np.repeat(np.arange(256, dtype=np.uint32), 8 * 32) << 23
    fractions = np.random.default_rng(1).integers(0, 2**23, exponents.size, np.uint32)
    signs = np.random.default_rng(2).integers(0, 2, exponents.size, np.uint32) << 31
    blocks_of_one_size = (exponents | fractions | signs).view(np.float32)
    x = np.concatenate([any_floats(32 * 1024), blocks_of_one_size])
    want_codes, want_scales = reference.quantize(x[None])

    with force_isa(isa):
        codes, scales = _native.quantize(x)

    assert codes.tobytes() == want_codes.tobytes()
    assert np.array_equal(scales, want_scales[0], equal_nan=True)


@pytest.mark.parametrize(
    ("x", "codes"),
    [
        ([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], [127, 0, 2, 2, 0, -2, -2]),
        ([-127, 126.5, 0.49999997], [-127, 126, 0]),
        ([2.0**-100, 2.0**-100, -(2.0**-100)], [127, 127, -127]),
        ([np.nextafter(np.float32(2.0**-100), np.float32(0)), 2.0**-120], [0, 0]),
        ([np.finfo(np.float32).max, np.finfo(np.float32).min, 1], [127, -127, 0]),
        ([np.nan, 1, 2], [0, 0, 0]),
        ([1, np.inf, 2], [0, 0, 0]),
        ([-0.0, 0.0], [0, 0]),
    ],
    ids=["half to even", "largest negative", "smallest", "below", "largest", "nan", "inf", "zero"],
)
@pytest.mark.parametrize("isa", ISAS)
def test_codes_at_the_borders_are(isa: str, x: list[float], codes: list[int]) -> None:
    with force_isa(isa):
        got, scales = _native.quantize(np.array(x, np.float32))

    assert got[: len(x)].tolist() == codes
    assert not got[len(x) :].any()
    assert np.isnan(scales[0]) == (not np.isfinite(x).all())


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e15])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_rms_norm_has_the_bits_of_the_reference(isa: str, n: int, scale: float) -> None:
    x, weight = normal(n, scale=scale), normal(n, seed=1)

    with force_isa(isa):
        got = _native.rms_norm(x, weight, 1e-5)

    assert got.tobytes() == reference.rms_norm(x, weight, 1e-5).tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_rms_norm_is_close_to_the_real_one(isa: str) -> None:
    x, weight = normal(576), normal(576, seed=1)
    exact = x / np.sqrt(np.mean(x.astype(np.float64) ** 2) + 1e-6) * weight

    with force_isa(isa):
        got = _native.rms_norm(x, weight, 1e-6)

    assert got == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_a_value_that_is_no_number_does_not_vanish_in_a_norm(isa: str, bad: float) -> None:
    x = normal(172)
    x[171] = bad

    with force_isa(isa):
        got = _native.rms_norm(x, np.ones(172, np.float32), 1e-5)

    assert np.isnan(got[171])


@pytest.mark.parametrize("isa", ISAS)
def test_a_norm_whose_squares_overflow_is_nan(isa: str) -> None:
    with force_isa(isa):
        got = _native.rms_norm(normal(64, scale=1e20), np.ones(64, np.float32), 1e-5)

    assert np.isnan(got).all()


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("isa", ISAS)
def test_swiglu_has_the_bits_of_the_reference(isa: str, n: int, scale: float) -> None:
    gate, up = normal(n, scale=scale), normal(n, seed=1)

    with force_isa(isa):
        got = _native.swiglu(gate, up)
        want = reference.swiglu(gate, up)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_swiglu_is_close_to_the_real_one(isa: str) -> None:
    gate, up = np.linspace(-80, 80, 4001, dtype=np.float32), normal(4001)
    exact = gate / (1 + np.exp(-gate.astype(np.float64))) * up

    with force_isa(isa):
        got = _native.swiglu(gate, up)

    assert got == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("isa", ISAS)
def test_exp_is_within_two_units_in_the_last_place(isa: str) -> None:
    x = np.concatenate(
        [
            np.linspace(-87, 88, 400_001, dtype=np.float32),
            normal(100_000),
            normal(100_000, scale=1e-4),
            np.arange(-125, 127, dtype=np.float32) * np.float32(np.log(2) / 2),
        ]
    )
    exact = np.exp(x.astype(np.float64))

    with force_isa(isa):
        got = _native.exp(x)

    unit = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert np.abs((got - exact) / unit).max() <= 2


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (0.0, 1.0),
        (-0.0, 1.0),
        (np.nextafter(np.float32(-87), np.float32(-88)), 0.0),
        (-1e30, 0.0),
        (-np.inf, 0.0),
        (2.0**-149, 1.0),
        (np.nan, np.nan),
    ],
)
@pytest.mark.parametrize("isa", ISAS)
def test_exp_at_the_borders_is(isa: str, x: float, want: float) -> None:
    with force_isa(isa):
        got = _native.exp(np.array([x], np.float32))

    assert np.array_equal(got, np.array([want], np.float32), equal_nan=True)


@pytest.mark.parametrize("x", [88.0, 89.0, 1e30, np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_exp_above_88_stays_at_that_of_88(isa: str, x: float) -> None:
    with force_isa(isa):
        got = _native.exp(np.array([x], np.float32))[0]

    assert got == pytest.approx(np.exp(88.0), rel=1e-6)


@pytest.mark.parametrize("isa", ISAS)
def test_exp_of_any_bits_is_the_same_everywhere(isa: str) -> None:
    x = any_floats(200_000)
    with force_isa("scalar"):
        want = _native.exp(x)

    with force_isa(isa):
        got = _native.exp(x)

    assert np.array_equal(got, want, equal_nan=True)


@pytest.mark.parametrize("isa", ISAS)
def test_every_float16_becomes_the_float32_that_numpy_gives(isa: str) -> None:
    halves = np.arange(2**16, dtype=np.uint16)
    want = halves.view(np.float16).astype(np.float32)

    with force_isa(isa):
        got = _native.from_halves(halves)

    number = ~np.isnan(want)
    assert got[number].tobytes() == want[number].tobytes()
    assert np.isnan(got[~number]).all()


def halves_and_their_neighbours() -> np.ndarray:
    """Every finite float16, every middle between two, and the float32 next to each."""
    halves = np.arange(0x7C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    halves[-1] = 65536  # what infinity stands for when float16 rounds
    middles = (halves[1:] + halves[:-1]) / 2
    exact = np.concatenate([halves, middles]).astype(np.float32)
    all_of_them = [exact, np.nextafter(exact, np.float32(0)), np.nextafter(exact, np.float32(1e9))]
    positive = np.concatenate(all_of_them)
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize(
    "x",
    [halves_and_their_neighbours(), any_floats(500_000), normal(1023, scale=1e-7)],
    ids=["borders", "any bits", "denormal"],
)
@pytest.mark.parametrize("isa", ISAS)
def test_float32_is_rounded_to_float16_as_numpy_rounds(isa: str, x: np.ndarray) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        want = x.astype(np.float16).view(np.uint16)

    with force_isa(isa):
        got = _native.to_halves(x)

    number = ~np.isnan(x)
    assert got[number].tobytes() == want[number].tobytes()
    assert np.isnan(got[~number].view(np.float16)).all()


@pytest.mark.parametrize("isa", ISAS)
def test_vectors_of_different_lengths_are_refused(isa: str) -> None:
    with force_isa(isa), pytest.raises(ValueError, match="differ in size"):
        _native.rms_norm(normal(3), normal(4), 1e-5)
    with force_isa(isa), pytest.raises(ValueError, match="differ in size"):
        _native.swiglu(normal(3), normal(4))
