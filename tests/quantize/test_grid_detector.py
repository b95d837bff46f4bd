"""Weights that were blocks once are blocks again, to the bit; others are left alone."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from aboard import formats
from aboard.quantize.grid_detector import detect_grid, exact_blocks

NAMES = formats.searchable()
PLAIN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def trained(rows: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_t(5, (rows, columns)) * 0.03).astype(np.float32)


def random_blocks(name: str, rows: int, blocks: int, seed: int) -> np.ndarray:
    """Blocks of any codes and factors; scales of the size they have in trained matrices."""
    rng = np.random.default_rng(seed)
    found = formats.find_grid(name, trained(rows, blocks * formats.by_name(name).BLOCK, seed))
    codes = rng.integers(0, len(found.levels), found.shape, dtype=np.uint8)
    return formats.pack(found, codes)


def decoded(name: str, packed: np.ndarray) -> np.ndarray:
    rows = packed.reshape(len(packed), -1)
    return quants.dequantize(rows, GGMLQuantizationType[name])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", NAMES)
def test_dequantised_blocks_come_back_exactly(name: str, seed: int) -> None:
    weights = decoded(name, formats.round_to(name, trained(12, 1024, seed)))

    found = detect_grid(weights)

    assert found is not None
    assert formats.by_name(found.format).BLOCK_BYTES <= formats.by_name(name).BLOCK_BYTES
    assert (decoded(found.format, found.blocks) == weights).all()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_any_codes_come_back_exactly(name: str) -> None:
    weights = decoded(name, random_blocks(name, 16, 4, seed=5))

    blocks = exact_blocks(name, weights)

    assert blocks is not None
    assert (decoded(name, blocks) == weights).all()


@pytest.mark.parametrize("name", PLAIN)
def test_what_the_gguf_package_rounded_comes_back_exactly(name: str) -> None:
    kind = GGMLQuantizationType[name]
    weights = quants.dequantize(quants.quantize(trained(16, 1024, 6), kind), kind)

    found = detect_grid(weights)

    assert found is not None
    assert found.format == name
    assert (decoded(name, found.blocks) == weights).all()


@pytest.mark.parametrize("kept", ["float32", "float16", "bfloat16"])
def test_weights_that_nobody_rounded_are_on_no_grid(kept: str) -> None:
    weights = trained(64, 1024, seed=7)
    if kept == "float16":
        weights = weights.astype(np.float16).astype(np.float32)
    if kept == "bfloat16":
        weights = (weights.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    assert detect_grid(weights) is None


@pytest.mark.parametrize("name", NAMES)
def test_one_weight_beside_the_grid_is_enough(name: str) -> None:
    weights = decoded(name, formats.round_to(name, trained(12, 1024, seed=8)))
    weights[7, 300] = np.nextafter(weights[7, 300], np.float32(1))

    assert detect_grid(weights) is None


def test_a_tensor_of_which_some_rows_are_on_the_grid_is_not() -> None:
    weights = trained(64, 1024, seed=9)
    weights[:32] = decoded("Q4_0", formats.round_to("Q4_0", weights[:32]))

    assert detect_grid(weights) is None


def test_blocks_of_zeros_and_of_one_value_do_not_hide_the_grid() -> None:
    weights = decoded("Q4_0", formats.round_to("Q4_0", trained(12, 1024, seed=10)))
    weights[3] = 0
    weights[4, :32] = 0.5
    weights[5, 32:64] = -0.25

    found = detect_grid(weights)

    assert found is not None
    assert found.format == "Q4_0"
    assert (decoded("Q4_0", found.blocks) == weights).all()


@pytest.mark.parametrize("name", ["Q4_K", "Q6_K"])
def test_rows_that_are_no_whole_blocks_are_not_tried(name: str) -> None:
    weights = decoded(name, formats.round_to(name, trained(12, 1024, seed=11)))[:, :992]

    found = detect_grid(np.ascontiguousarray(weights))

    assert found is None or formats.by_name(found.format).BLOCK == 32


def test_zeros_alone_are_on_no_grid_of_their_own() -> None:
    assert detect_grid(np.zeros((4, 256), np.float32)) is None


@pytest.mark.parametrize("size", [1e30, 1e-30, 3e38])
def test_numbers_beyond_any_scale_are_on_no_grid(size: float) -> None:
    weights = trained(4, 256, seed=12)
    weights[2, 7] = size

    assert detect_grid(weights) is None
