"""Second moments against float64, in little memory, and inputs that have none."""

import tracemalloc

import numpy as np
import pytest

from aboard.errors import NumericalError
from aboard.quantize import tiles
from aboard.quantize.moments import gram_of, moments_of

NAME = "blk.0.attn_q.weight"


def pieces(seed: int, sizes: list[int], columns: int = 24) -> list[tuple[np.ndarray, bool]]:
    random = np.random.default_rng(seed)
    return [
        ((10 * random.standard_normal((n, columns))).astype(np.float32), number % 3 == 2)
        for number, n in enumerate(sizes)
    ]


def joint(given: list[tuple[np.ndarray, bool]], *kinds: bool) -> np.ndarray:
    return np.concatenate([piece for piece, kind in given if kind in kinds]).astype(np.float64)


@pytest.fixture(params=["one tile", "tiles", "inputs"])
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """24 columns treated as many: in tiles, and as inputs, where tokens are few."""
    if request.param != "one tile":
        monkeypatch.setattr(tiles, "_TILE", 5)
        monkeypatch.setattr(tiles, "WHOLE", 10)
        monkeypatch.setattr("aboard.quantize.gram.WHOLE", 10)
    return str(request.param)


@pytest.mark.parametrize("threads", [1, 3])
def test_moments_are_the_means_of_products_over_either_kind_of_tokens(
    threads: int, small_tiles: str
) -> None:
    sizes = [5, 3, 9, 8, 3, 9] if small_tiles == "inputs" else [100, 7, 50, 300, 1, 20]
    given = pieces(1, sizes)
    errors = np.random.default_rng(0).standard_normal((3, 24)).astype(np.float32)

    found = moments_of(given, NAME, threads=threads)

    decide, held_out, every = joint(given, False), joint(given, True), joint(given, True, False)
    assert found.gram is not None
    assert (found.n_tokens, found.held_out.n_tokens) == (len(decide), len(held_out))
    np.testing.assert_allclose(
        found.gram.matrix, decide.T @ decide / len(decide), rtol=1e-5, atol=1e-3
    )
    np.testing.assert_allclose(found.importances, (every**2).mean(axis=0), rtol=1e-5)
    want = ((held_out @ errors.T) ** 2).sum(axis=1).mean()
    assert found.held_out.cost(errors) == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(
        found.all_tokens(threads), every.T @ every / len(every), rtol=1e-5, atol=1e-3
    )
    assert found.gram is None


def test_importances_alone_are_those_of_the_whole_moments() -> None:
    given = pieces(5, [100, 7, 50, 20])

    found = moments_of(given, NAME, with_gram=False)

    assert found.gram is None
    np.testing.assert_allclose(found.importances, moments_of(given, NAME).importances, rtol=1e-6)


def test_a_gram_of_all_tokens_is_the_mean_of_products(small_tiles: str) -> None:
    sizes = [5, 3, 9] if small_tiles == "inputs" else [100, 7, 50]
    given = pieces(5, sizes)
    errors = np.random.default_rng(2).standard_normal((8, 24)).astype(np.float32)

    found = gram_of((piece for piece, _ in given), NAME)

    x = joint(given, True, False)
    np.testing.assert_allclose(found.diagonal, (x**2).mean(axis=0), rtol=1e-5)
    want = ((x @ errors.T) ** 2).sum(axis=1).mean()
    assert found.cost(errors) == pytest.approx(want, rel=1e-5)


def test_a_head_that_is_the_embedding_counts_errors_by_themselves_too(small_tiles: str) -> None:
    sizes = [5, 3, 9] if small_tiles == "inputs" else [100, 7, 50]
    given = pieces(6, sizes)
    errors = np.random.default_rng(3).standard_normal((8, 24)).astype(np.float32)
    found = moments_of(given, NAME)

    found.take_embedding()

    decide, held_out = joint(given, False), joint(given, True)
    own, others = ((x**2).mean() for x in (decide, held_out))
    want = ((held_out @ errors.T) ** 2).sum(axis=1).mean() + others * (errors**2).sum()
    assert found.held_out.cost(errors) == pytest.approx(want, rel=1e-5)
    n, m = len(decide), len(held_out)
    every = decide.T @ decide + held_out.T @ held_out + (n * own + m * others) * np.eye(24)
    np.testing.assert_allclose(found.importances, np.diagonal(every) / (n + m), rtol=1e-5)
    np.testing.assert_allclose(found.all_tokens(), every / (n + m), rtol=1e-5, atol=1e-3)


def test_no_bit_depends_on_threads(small_tiles: str) -> None:
    grams = []
    for threads in (1, 3):
        found = moments_of(pieces(4, [64, 64, 64]), "x", threads=threads)
        grams.append(found.all_tokens(threads).tobytes())

    assert grams[0] == grams[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
@pytest.mark.parametrize("with_gram", [True, False])
@pytest.mark.parametrize("at", [0, 2])
def test_inputs_beyond_float32_name_the_tensor(
    at: int, with_gram: bool, value: float, small_tiles: str
) -> None:
    given = pieces(3, [10, 10, 10])
    given[at][0][3, 3] = value

    with pytest.raises(NumericalError, match=r"blk\.7\.ffn_down\.weight: inputs"):
        moments_of(given, "blk.7.ffn_down.weight", with_gram=with_gram)


def peak_bytes(columns: int, **options: bool) -> int:
    """What numpy took at most for the moments of a few tokens, beside them."""
    given = pieces(8, [64, 64, 64], columns)
    tracemalloc.start()
    moments_of(given, NAME, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_gram_takes_the_memory_of_itself_and_importances_next_to_none() -> None:
    columns = 6000
    of_gram = 4 * columns**2

    assert of_gram < peak_bytes(columns) < 1.2 * of_gram
    assert peak_bytes(columns, with_gram=False) < 0.05 * of_gram
