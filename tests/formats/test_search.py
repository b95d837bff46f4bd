"""Scales that are searched: as good as they can be, the same everywhere, and packed as told."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from aboard import _native, formats
from aboard.errors import CorruptTensor, UsageError
from aboard.formats._parts import Parts
from aboard.formats._search import grid_of

NAMES = formats.searchable()
SYMMETRIC = ("Q4_0", "Q5_0", "Q8_0", "IQ4_NL")
PLAIN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def weights(rows: int, columns: int, seed: int) -> np.ndarray:
    """Numbers as trained matrices have them: long tails, rows and columns of different size."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.standard_normal((rows, 1)) * 0.3) * np.exp(
        rng.standard_normal((1, columns)) * 0.2
    )
    return (rng.standard_t(6, (rows, columns)) * sizes * 0.02).astype(np.float32)


def importances(columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.standard_normal(columns) * 1.5).astype(np.float32)


def error(values: np.ndarray, decoded: np.ndarray, counted: np.ndarray | None) -> float:
    squares = (values.astype(np.float64) - decoded) ** 2
    return float((squares * (1.0 if counted is None else counted)).sum())


def decoded_by_gguf(name: str, packed: np.ndarray) -> np.ndarray:
    rows = packed.reshape(len(packed), -1)
    return quants.dequantize(rows, GGMLQuantizationType[name])


def random_parts(name: str, rows: int, blocks: int, seed: int) -> Parts:
    form = formats.packer(name)
    rng = np.random.default_rng(seed)
    groups = blocks * form.BLOCK // form.SUB_BLOCK
    found = formats.find_grid(name, weights(rows, blocks * form.BLOCK, seed)).parts
    bound = {"Q2_K": 16, "Q6_K": 128}.get(name, 64 if found.minimum_factor is not None else 32)
    low = -bound if found.minimum_factor is None else 0
    return Parts(
        scale=rng.standard_normal((rows, blocks)).astype(np.float16),
        minimum=None
        if found.minimum is None
        else rng.standard_normal((rows, blocks)).astype(np.float16),
        factor=None
        if found.factor is None
        else rng.integers(low, bound, (rows, groups)).astype(np.int8),
        minimum_factor=None
        if found.minimum_factor is None
        else rng.integers(0, bound, (rows, groups)).astype(np.uint8),
    )


def test_the_formats_that_are_searched_are_these() -> None:
    k_formats = {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}
    assert set(NAMES) == {*PLAIN, *k_formats, "IQ4_NL", "IQ4_XS"}


@pytest.mark.parametrize("name", NAMES)
def test_packed_blocks_are_to_the_gguf_package_what_the_grid_says(name: str) -> None:
    parts = random_parts(name, 5, 3, seed=1)
    grid = grid_of(formats.packer(name), parts)
    codes = np.random.default_rng(2).integers(0, len(grid.levels), grid.shape, dtype=np.uint8)

    packed = formats.pack(grid, codes)

    form = formats.by_name(name)
    assert packed.shape == (5, 3, form.BLOCK_BYTES)
    assert decoded_by_gguf(name, packed).tobytes() == grid.weights(codes).tobytes()
    assert form.decode(packed).tobytes() == grid.weights(codes).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_scales_and_offsets_are_those_that_unpack_gives(name: str) -> None:
    values = weights(4, 768, seed=3)
    grid = formats.find_grid(name, values, importances(768, 4))

    blocks = formats.by_name(name).unpack(formats.pack(grid, formats.nearest_codes(grid, values)))

    assert grid.group == formats.by_name(name).SUB_BLOCK
    assert blocks.scale.tobytes() == grid.scale.tobytes()
    assert (blocks.minimum is None) == (grid.offset is None)
    if blocks.minimum is not None and grid.offset is not None:
        assert blocks.minimum.tobytes() == grid.offset.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_the_nearest_as_numpy_finds_them(name: str) -> None:
    values = weights(6, 512, seed=5)
    grid = formats.find_grid(name, weights(6, 512, seed=6))

    got = formats.nearest_codes(grid, values)

    with np.errstate(divide="ignore"):
        inverse = np.float32(1) / grid.scale
    inverse[~np.isfinite(inverse)] = 0
    offset = 0 if grid.offset is None else grid.offset[..., None]
    t = (values.reshape(*grid.scale.shape, grid.group) - offset) * inverse[..., None]
    if name.startswith("IQ"):
        middles = (grid.levels[1:] + grid.levels[:-1]) / 2
        want = np.searchsorted(middles, t.reshape(values.shape), side="left")
    else:
        bounded = np.clip(t.reshape(values.shape), grid.levels[0], grid.levels[-1])
        want = np.rint(bounded) - grid.levels[0]
    assert got.tobytes() == want.astype(np.uint8).tobytes()


def best_symmetric(values: np.ndarray, counted: np.ndarray, levels: np.ndarray) -> float:
    """The least weighted error of any scale of either sign, by trying every set of codes."""
    middles = (levels[1:] + levels[:-1]) / 2
    with np.errstate(divide="ignore"):
        inverse = np.unique(np.outer(middles, 1 / values.astype(np.float64)))
    between = (inverse[1:] + inverse[:-1]) / 2
    codes = levels[np.searchsorted(middles, between[:, None] * values[None, :])]
    cross = (codes * values * counted).sum(1)
    square = (codes * codes * counted).sum(1)
    gain = np.divide(cross**2, square, out=np.zeros_like(cross), where=square > 0)
    return float((values.astype(np.float64) ** 2 * counted).sum() - gain.max())


@pytest.mark.parametrize("counted", [False, True], ids=["all alike", "by importance"])
@pytest.mark.parametrize("name", ["Q4_0", "Q5_0", "IQ4_NL"])
def test_a_symmetric_scale_is_within_a_percent_of_the_best_there_is(
    name: str, counted: bool
) -> None:
    values = weights(40, 32, seed=7)
    by = importances(32, 8) if counted else np.ones(32, np.float32)

    decoded = formats.by_name(name).decode(formats.round_to(name, values, by))

    levels = np.array(formats.packer(name).LEVELS, np.float64)
    best = sum(best_symmetric(row, by.astype(np.float64), levels) for row in values)
    assert best <= error(values, decoded, by) < 1.01 * best


@pytest.mark.parametrize("name", PLAIN)
def test_no_block_is_worse_than_plainly_rounded(name: str) -> None:
    values = weights(200, 32, seed=9)
    form = formats.encoder(name)

    searched = form.decode(formats.round_to(name, values))

    plain = form.decode(form.encode(values))
    ratios = ((values - searched) ** 2).sum(1) / ((values - plain) ** 2).sum(1)
    assert ratios.max() < 1.001
    assert ratios.mean() < 0.95


@pytest.mark.parametrize("name", NAMES)
def test_importances_pay_where_they_count(name: str) -> None:
    values, by = weights(8, 512, seed=10), importances(512, 11)
    decode = formats.by_name(name).decode

    blind, seeing = (decode(formats.round_to(name, values, each)) for each in (None, by))

    assert error(values, seeing, by) < 0.97 * error(values, blind, by)
    assert error(values, blind, None) < error(values, seeing, None)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_the_same_on_every_instruction_set(name: str) -> None:
    values, by = weights(3, 1280, seed=12), importances(1280, 13)
    want = formats.round_to(name, values, by).tobytes()

    for isa in _native.supported_isas():
        _native.use_isa(isa)
        got = formats.round_to(name, values, by).tobytes()
        _native.use_isa("")
        assert got == want, isa


@pytest.mark.parametrize("name", NAMES)
def test_neither_threads_nor_pieces_change_a_block(name: str) -> None:
    values, by = weights(37, 768, seed=14), importances(768, 15)
    want = formats.round_to(name, values, by)

    threaded = formats.round_to(name, values, by, threads=3)
    pieces = [formats.round_to(name, values[i : i + 5], by) for i in range(0, 37, 5)]

    assert threaded.tobytes() == want.tobytes()
    assert np.concatenate(pieces).tobytes() == want.tobytes()


@pytest.mark.parametrize("power", [-20, 3, 12])
@pytest.mark.parametrize("name", ["Q5_1", "Q6_K", "Q2_K", "IQ4_XS"])
def test_importances_count_by_their_ratios_alone(name: str, power: int) -> None:
    values, by = weights(4, 512, seed=16), importances(512, 17)

    got = formats.round_to(name, values, by * np.float32(2.0**power))

    assert got.tobytes() == formats.round_to(name, values, by).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_count_for_nothing_are_rounded_all_the_same(name: str) -> None:
    values = weights(4, 512, seed=18)
    by = np.zeros(512, np.float32)
    decode = formats.by_name(name).decode

    got = decode(formats.round_to(name, values, by))

    assert got.tobytes() == decode(formats.round_to(name, values)).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_zeros_stay_zeros_and_the_smallest_numbers_become_small(name: str) -> None:
    values = np.zeros((3, 512), np.float32)
    values[1] = 1e-45
    values[2] = np.linspace(-1e-39, 1e-39, 512)

    decoded = formats.by_name(name).decode(formats.round_to(name, values))

    assert not decoded[0].any()
    assert np.abs(decoded).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_block_far_smaller_or_larger_than_others_keeps_its_precision(name: str) -> None:
    values = weights(3, 512, seed=19)
    values[0] *= np.float32(2.0**-9)
    values[2] *= np.float32(2.0**16)

    decoded = formats.by_name(name).decode(formats.round_to(name, values))

    relative = ((values - decoded) ** 2).sum(1) / (values**2).sum(1)
    assert relative.max() < 0.15


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [3e8, 3e38])
def test_weights_beyond_the_range_of_scales_are_refused(name: str, size: float) -> None:
    values = weights(3, 512, seed=20)
    values[1, 300] = size
    values[1, 301] = -size

    with pytest.raises(UsageError, match=r"is beyond the range of float16 scales$") as caught:
        formats.find_grid(name, values)
    assert "row 1" in str(caught.value.hint)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused_with_its_place(bad: float) -> None:
    values = weights(3, 512, seed=21)
    values[2, 77] = bad

    with pytest.raises(CorruptTensor, match=rf"in row 2, column 77 is {bad}"):
        formats.find_grid("Q4_K", values)
    with pytest.raises(CorruptTensor, match="row 2, column 77"):
        formats.nearest_codes(formats.find_grid("Q4_K", weights(3, 512, seed=1)), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e-9])
def test_an_importance_that_is_no_number_from_0_up_is_refused(bad: float) -> None:
    by = importances(512, 22)
    by[40] = bad

    with pytest.raises(UsageError, match="importance of column 40 is"):
        formats.find_grid("Q4_0", weights(2, 512, seed=23), by)


@pytest.mark.parametrize(
    ("name", "values", "by"),
    [
        ("Q4_K", np.zeros((2, 288), np.float32), None),
        ("Q4_0", np.zeros((2, 40), np.float32), None),
        ("Q4_0", np.zeros(64, np.float32), None),
        ("Q4_0", np.zeros((2, 64)), None),
        ("Q4_0", np.zeros((2, 64), np.float32), np.ones(32, np.float32)),
        ("Q4_0", np.zeros((2, 64), np.float32), np.ones(64)),
        ("MXFP4", np.zeros((2, 64), np.float32), None),
        ("F16", np.zeros((2, 64), np.float32), None),
    ],
)
def test_what_does_not_fit_is_refused(name: str, values: np.ndarray, by: np.ndarray | None) -> None:
    with pytest.raises(UsageError, match="expected"):
        formats.find_grid(name, values, by)


def test_codes_that_do_not_fit_are_refused() -> None:
    grid = formats.find_grid("Q4_0", weights(2, 64, seed=24))

    for codes in (np.zeros((2, 32), np.uint8), np.zeros((2, 64), np.int8)):
        with pytest.raises(UsageError, match=r"expected \(2, 64\) uint8"):
            formats.pack(grid, codes)
    with pytest.raises(UsageError, match="a code is 16, Q4_0 has 0 to 15"):
        formats.pack(grid, np.full((2, 64), 16, np.uint8))


@pytest.mark.parametrize("name", ["Q8_0", "Q3_K", "Q2_K"])
def test_rows_of_a_grid_are_the_grid_of_those_rows(name: str) -> None:
    values = weights(7, 512, seed=25)
    grid = formats.find_grid(name, values)

    part = grid.rows(2, 5)

    codes = formats.nearest_codes(part, values[2:5])
    assert part.shape == (3, 512)
    assert formats.pack(part, codes).tobytes() == formats.round_to(name, values[2:5]).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_no_blocks(name: str) -> None:
    assert formats.round_to(name, np.zeros((0, 256), np.float32)).size == 0
    assert formats.round_to(name, np.zeros((2, 0), np.float32)).size == 0
