"""Decompositions in tiles, against LAPACK's of the whole matrix in float64."""

import tracemalloc

import numpy as np
import pytest

from aboard.quantize import tiles
from aboard.quantize.factors import decompose


def gram(columns: int, seed: int, n: int = 400) -> np.ndarray:
    """Of inputs with a few directions in common and columns of very different size."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((n, 8)) @ random.standard_normal((8, columns))
    x = (x + 0.3 * random.standard_normal(x.shape)) * np.exp(random.standard_normal(columns))
    return (x.T @ x / n).astype(np.float32)


def whole(matrix: np.ndarray, added: float) -> np.ndarray:
    """U + I by one decomposition of the whole, (K, K) float64."""
    wide = matrix.astype(np.float64) + added * np.eye(len(matrix))
    upper = np.linalg.cholesky(wide[::-1, ::-1])[::-1, ::-1]
    return upper / np.diagonal(upper)


@pytest.fixture(params=[7, 16, 30, 97])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(tiles, "_TILE", request.param)
    monkeypatch.setattr(tiles, "WHOLE", request.param)
    return int(request.param)


@pytest.mark.parametrize(("rough", "close"), [(False, 5e-5), (True, 2e-3)])
def test_tiles_give_what_the_whole_gives(rough: bool, close: float, tile: int) -> None:
    matrix = gram(97, 1)
    want = whole(matrix, 0.05)

    decompose(matrix, 0.05, rough=rough)

    np.testing.assert_allclose(matrix, want, rtol=close, atol=close)


def test_the_lower_half_is_zero_and_not_looked_at(tile: int) -> None:
    matrix, other = gram(97, 2), gram(97, 2)
    places = tiles.tiles(97)
    for at, rows in enumerate(places):
        for columns in places[:at]:
            other[rows, columns] = np.nan

    decompose(matrix, 0.05)
    decompose(other, 0.05)

    assert matrix.tobytes() == other.tobytes()
    assert not np.tril(matrix, -1).any()
    assert (np.diagonal(matrix) == 1).all()


def test_no_bit_depends_on_threads(tile: int) -> None:
    one, three = gram(97, 3), gram(97, 3)

    decompose(one, 0.05, threads=1)
    decompose(three, 0.05, threads=3)

    assert one.tobytes() == three.tobytes()


@pytest.mark.parametrize("at", [0, 50, 96])
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_what_is_not_positive_definite_is_refused(
    at: int, rough: bool, value: float, tile: int
) -> None:
    matrix = gram(97, 4)
    matrix[at, at] = value

    with pytest.raises(np.linalg.LinAlgError):
        decompose(matrix, 0.05, rough=rough)


def test_it_takes_the_memory_of_a_few_tiles() -> None:
    matrix = gram(2500, 5)
    tracemalloc.start()

    decompose(matrix, 0.05)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 8 * 1024**2  # eight tiles of float64: those behind, and what is made of one
