"""Packing into panels and back: no bit is lost, no damaged scale gets in, no row is misplaced."""

import numpy as np
import pytest

from aboard import _native, formats
from kernels.blocks import SCALE_FIELDS, columns, edge_blocks, matrix, random_blocks

NOT_NUMBERS = [0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF]
ROWS = 37


def empty_matrix(name: str, rows: int, cols: int) -> _native.Matrix:
    return _native.Matrix(_native.Arena(_native.packed_size(name, rows, cols)), name, rows, cols)


def rows_of(made: _native.Matrix) -> np.ndarray:
    return np.vstack([made.row(i) for i in range(made.rows)])


@pytest.mark.parametrize("make", [random_blocks, edge_blocks])
@pytest.mark.parametrize("name", formats.NAMES)
def test_a_row_reads_back_with_the_bits_of_the_format(name: str, make: object) -> None:
    packed = make(name, ROWS, columns(name)[1])

    got = rows_of(matrix(name, packed))

    assert got.tobytes() == formats.by_name(name).decode(packed).tobytes()


def test_every_exponent_of_mxfp4_reads_back_with_the_bits_of_the_format() -> None:
    packed = random_blocks("MXFP4", 253, 32)
    packed[:, 0, 0] = np.arange(253)

    got = rows_of(matrix("MXFP4", packed))

    assert got.tobytes() == formats.by_name("MXFP4").decode(packed).tobytes()


@pytest.mark.parametrize("name", formats.NAMES)
def test_rows_packed_in_parts_lie_as_if_packed_at_once(name: str) -> None:
    packed = random_blocks(name, ROWS, columns(name)[0])
    made = empty_matrix(name, ROWS, columns(name)[0])

    for first, last in [(32, 37), (0, 16), (16, 32)]:
        assert made.pack(packed[first:last].reshape(-1), first) is None

    assert rows_of(made).tobytes() == formats.by_name(name).decode(packed).tobytes()


@pytest.mark.parametrize("row", [0, 15, 16, 36])
@pytest.mark.parametrize("bits", NOT_NUMBERS, ids=hex)
@pytest.mark.parametrize(
    ("name", "at"), [(name, at) for name, fields in SCALE_FIELDS.items() for at in fields]
)
def test_a_float16_that_is_no_number_is_refused_by_its_row(
    name: str, at: int, bits: int, row: int
) -> None:
    packed = random_blocks(name, ROWS, columns(name)[1])
    packed[row, -1, at : at + 2] = np.array([bits], "<u2").view(np.uint8)

    refused = empty_matrix(name, ROWS, columns(name)[1]).pack(packed.reshape(-1), 0)

    assert refused == row


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7F81, 0x7FC0], ids=hex)
@pytest.mark.parametrize("name", ["F32", "BF16"])
def test_a_weight_that_is_no_number_is_refused_by_its_row(name: str, bits: int) -> None:
    packed = random_blocks(name, ROWS, 172)
    packed[20, 171, -2:] = np.array([bits], "<u2").view(np.uint8)

    refused = empty_matrix(name, ROWS, 172).pack(packed.reshape(-1), 0)

    assert refused == 20


@pytest.mark.parametrize("exponent", [253, 254, 255])
def test_an_exponent_whose_weights_are_beyond_float32_is_refused_by_its_row(exponent: int) -> None:
    packed = random_blocks("MXFP4", ROWS, 64)
    packed[20, 1, 0] = exponent

    refused = empty_matrix("MXFP4", ROWS, 64).pack(packed.reshape(-1), 0)

    assert refused == 20


def test_the_first_of_several_damaged_rows_is_named() -> None:
    packed = random_blocks("Q4_0", ROWS, 64)
    packed[[33, 18, 17], 0, :2] = 0xFF

    assert empty_matrix("Q4_0", ROWS, 64).pack(packed.reshape(-1), 0) == 17


def test_the_row_that_is_named_counts_from_the_matrix_and_not_from_the_part() -> None:
    packed = random_blocks("Q4_0", ROWS, 64)
    packed[35, 0, :2] = 0xFF

    assert empty_matrix("Q4_0", ROWS, 64).pack(packed[32:].reshape(-1), 32) == 35


@pytest.mark.parametrize(
    ("n_bytes", "first_row"),
    [
        (16 * 36 - 1, 0),  # no whole row
        (8 * 36, 0),  # half a panel, and not the last
        (16 * 36, 8),  # not on a panel
        (16 * 36, 32),  # beyond the end
        (48 * 36, 0),
        (16 * 36, 2**64 - 16),  # wraps
    ],
)
def test_rows_that_do_not_fit_are_refused(n_bytes: int, first_row: int) -> None:
    with pytest.raises(ValueError, match="can't pack"):
        empty_matrix("Q4_0", ROWS, 64).pack(np.zeros(n_bytes, np.uint8), first_row)


@pytest.mark.parametrize(
    ("name", "rows", "cols", "found"),
    [
        ("Q4_2", 1, 32, "no kernels for the format Q4_2"),
        ("Q4_0", 1, 33, "expected a multiple of 32"),
        ("Q4_K", 1, 128, "expected a multiple of 256"),
        ("F32", 0, 32, "0 x 32"),
        ("F32", 1, 0, "1 x 0"),
        ("F32", 2**32, 1, "4294967296 x 1"),
    ],
)
def test_shapes_that_cannot_be_are_refused(name: str, rows: int, cols: int, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        _native.packed_size(name, rows, cols)


def test_a_matrix_larger_than_its_arena_is_refused() -> None:
    with pytest.raises(ValueError, match="the arena is full"):
        _native.Matrix(_native.Arena(64), "Q4_0", 16, 64)


def test_matrices_of_one_arena_do_not_overlap() -> None:
    packed = [random_blocks("Q5_0", 20, 64, seed) for seed in range(3)]
    arena = _native.Arena(3 * _native.packed_size("Q5_0", 20, 64))
    made = [_native.Matrix(arena, "Q5_0", 20, 64) for _ in packed]

    for each, raw in zip(made, packed, strict=True):
        each.pack(raw.reshape(-1), 0)

    for each, raw in zip(made, packed, strict=True):
        assert rows_of(each).tobytes() == formats.by_name("Q5_0").decode(raw).tobytes()


def test_a_row_beyond_the_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="row 37 is beyond"):
        empty_matrix("Q4_0", ROWS, 64).row(37)


def test_a_matrix_keeps_its_arena_alive() -> None:
    packed = random_blocks("Q8_0", 16, 32)
    made = matrix("Q8_0", packed)  # its arena has no other name

    assert rows_of(made).tobytes() == formats.by_name("Q8_0").decode(packed).tobytes()


def test_a_matrix_beyond_any_address_space_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond any address space"):
        _native.packed_size("F32", 2**31, 2**31)
