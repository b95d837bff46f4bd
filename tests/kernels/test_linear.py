"""Matrix times activations: each format on each instruction set gives the contract's bits."""

import functools

import numpy as np
import pytest

from aboard import _native, formats
from aboard.engine.device import force_isa, supported_isas
from kernels import reference
from kernels.blocks import columns, edge_blocks, matrix, random_blocks

ISAS = supported_isas()
ROWS = 83  # four panels together, one more, and one of three rows
TOKENS = 129
SHAPES = [(name, cols) for name in formats.NAMES for cols in columns(name)]
EDGES = [(name, columns(name)[1]) for name in formats.NAMES]


def activations(cols: int, n_tokens: int = TOKENS) -> np.ndarray:
    """Normal numbers, every fourth block of another size: huge, tiny, below 2^-100, zero."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n_tokens, -(-cols // 32), 32)).astype(np.float32)
    sizes = np.array([1, 1, 1, 1e15, 1, 1, 1, 1e-20, 1, 1, 1, 2.0**-103, 1, 1, 1, 0], np.float32)
    turn = np.arange(n_tokens)[:, None] + np.arange(x.shape[1])
    x *= sizes[turn % len(sizes)][..., None]
    return np.ascontiguousarray(x.reshape(n_tokens, -1)[:, :cols])


@functools.cache
def expected(name: str, cols: int) -> np.ndarray:
    return reference.multiply(name, random_blocks(name, ROWS, cols), activations(cols))


@functools.cache
def packed_matrix(name: str, cols: int, rows: int) -> _native.Matrix:
    return matrix(name, random_blocks(name, ROWS, cols)[:rows])


@pytest.mark.parametrize("n_tokens", [1, 2, 3, 5, 8, 13, TOKENS])
@pytest.mark.parametrize(("name", "cols"), SHAPES)
@pytest.mark.parametrize("isa", ISAS)
def test_product_has_the_bits_of_the_reference(
    isa: str, name: str, cols: int, n_tokens: int
) -> None:
    x = activations(cols)[:n_tokens]

    with force_isa(isa):
        got = _native.multiply(packed_matrix(name, cols, ROWS), x)

    assert got.tobytes() == expected(name, cols)[:n_tokens].tobytes()


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 64])
@pytest.mark.parametrize(("name", "cols"), EDGES)
@pytest.mark.parametrize("isa", ISAS)
def test_any_number_of_rows_gives_each_row_the_same_bits(
    isa: str, name: str, cols: int, rows: int
) -> None:
    x = activations(cols)[:3]

    with force_isa(isa):
        got = _native.multiply(packed_matrix(name, cols, rows), x)

    assert got.tobytes() == expected(name, cols)[:3, :rows].tobytes()


def full_swing(weights: np.ndarray) -> np.ndarray:
    """Activations whose codes are all 127 or -127: all of one sign, alternating, and with the
    signs of each row's weights, so that no product takes anything off a sum."""
    cols = weights.shape[1]
    alternating = np.where(np.arange(cols) % 2, np.float32(1), np.float32(-1))
    signs = np.where(weights < 0, np.float32(-1), np.float32(1))
    flat = np.ones(cols, np.float32)
    return np.vstack([flat, -flat, alternating, -alternating, signs, -signs]).astype(np.float32)


@pytest.mark.parametrize(("name", "cols"), EDGES)
@pytest.mark.parametrize("isa", ISAS)
def test_codes_and_scales_at_their_ends_never_saturate(isa: str, name: str, cols: int) -> None:
    packed = edge_blocks(name, 64, cols)
    x = full_swing(formats.by_name(name).decode(packed))
    want = reference.multiply(name, packed, x)

    with force_isa(isa):
        together = _native.multiply(matrix(name, packed), x)
        alone = np.vstack([_native.multiply(matrix(name, packed), row[None]) for row in x])

    assert np.abs(reference.quantize(x)[0]).reshape(len(x), -1)[:, :cols].min() == 127
    assert np.isfinite(want).all()
    assert together.tobytes() == want.tobytes()
    assert alone.tobytes() == want.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "cols"), EDGES)
@pytest.mark.parametrize("isa", ISAS)
def test_activations_that_are_no_numbers_spoil_their_own_token_and_no_other(
    isa: str, name: str, cols: int, bad: float
) -> None:
    x = activations(cols)[:6].copy()
    x[2, cols - 1] = x[4, 0] = bad

    with force_isa(isa):
        got = _native.multiply(packed_matrix(name, cols, ROWS), x)

    sound = [0, 1, 3, 5]
    assert np.isnan(got[[2, 4]]).all()
    assert got[sound].tobytes() == expected(name, cols)[sound].tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_activations_beyond_float32_overflow_to_what_the_reference_gives(isa: str) -> None:
    x = np.full((3, 64), np.finfo(np.float32).max, np.float32)
    packed = edge_blocks("Q8_0", 64, 64)

    with force_isa(isa):
        got = _native.multiply(matrix("Q8_0", packed), x)

    assert np.array_equal(got, reference.multiply("Q8_0", packed, x), equal_nan=True)


def test_the_reference_is_close_to_the_real_product() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 1280)).astype(np.float32)
    for name in formats.NAMES:
        packed = random_blocks(name, 8, 1280)
        exact = x.astype(np.float64) @ formats.by_name(name).decode(packed).astype(np.float64).T

        error = np.abs(reference.multiply(name, packed, x) - exact).max()

        assert error < 0.02 * np.abs(exact).max(), name


def test_x_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="x has 65 columns, the matrix 64"):
        _native.multiply(packed_matrix("Q4_0", 64, ROWS), np.zeros((1, 65), np.float32))
