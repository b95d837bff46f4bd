"""Every format against the `gguf` package: bits of the weights, sizes, and what may not be."""

import warnings
from types import ModuleType

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from aboard import formats
from aboard.errors import CorruptTensor, UnsupportedFile, UsageError

MISSING = np.float16(np.nan).view(np.uint16), np.float16(np.inf).view(np.uint16)

# Where float16 scales stand within a block, in bytes. MXFP4's exponent is tested by itself.
SCALE_FIELDS = {
    "F16": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}
EVERY_FIELD = [(name, at) for name, fields in SCALE_FIELDS.items() for at in fields]


def random_blocks(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Blocks of any bytes, but for scales that are finite."""
    fmt = formats.by_name(name)
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (*shape, fmt.BLOCK_BYTES), dtype=np.uint8)
    for at in SCALE_FIELDS.get(name, []):
        scales = rng.standard_normal(shape).astype("<f2")
        scales[rng.random(shape) < 0.1] = np.float16(6e-8)  # subnormal
        scales[rng.random(shape) < 0.1] = np.float16(-0.0)
        packed[..., at : at + 2] = scales[..., None].view(np.uint8)
    if name in ("F32", "BF16"):
        packed[..., -1] &= 0xBF  # no exponent of infinity
    if name == "MXFP4":
        packed[..., 0] = rng.integers(0, 253, shape)
    return packed


def oracle(name: str, packed: np.ndarray) -> np.ndarray:
    rows = packed.reshape(*packed.shape[:-2], -1)
    return quants.dequantize(rows, GGMLQuantizationType[name])


def test_all_formats_of_the_first_engine_are_there() -> None:
    assert tuple(sorted([*SCALE_FIELDS, "F32", "BF16", "MXFP4"])) == formats.NAMES


@pytest.mark.parametrize("name", formats.NAMES)
def test_sizes_and_numbers_are_those_of_ggml(name: str) -> None:
    fmt = formats.by_name(name)
    kind = GGMLQuantizationType[name]

    assert isinstance(fmt, ModuleType)
    assert name == fmt.NAME
    assert kind.value == fmt.GGML_TYPE
    assert GGML_QUANT_SIZES[kind] == (fmt.BLOCK, fmt.BLOCK_BYTES)
    assert fmt.BLOCK % fmt.SUB_BLOCK == 0
    assert formats.by_ggml_type(kind.value) is fmt


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("name", formats.NAMES)
def test_weights_have_the_bits_that_the_gguf_package_gives(
    name: str, shape: tuple[int, ...]
) -> None:
    packed = random_blocks(name, shape, seed=1)

    got = formats.by_name(name).decode(packed)

    want = oracle(name, packed)
    assert (got.dtype, got.shape) == (np.dtype(np.float32), want.shape)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", [name for name in formats.NAMES if name[0] in "QIM"])
def test_every_value_of_every_byte_decodes_as_in_the_gguf_package(name: str) -> None:
    fmt = formats.by_name(name)
    packed = random_blocks(name, (fmt.BLOCK_BYTES, 256), seed=2)
    fixed = {byte for at in SCALE_FIELDS.get(name, []) for byte in (at, at + 1)}
    for at in set(range(fmt.BLOCK_BYTES)) - fixed:
        packed[at, :, at] = np.arange(256)
    if name == "MXFP4":
        packed[..., 0] = np.minimum(packed[..., 0], 252)

    got = fmt.decode(packed)

    assert got.tobytes() == oracle(name, packed).tobytes()


@pytest.mark.parametrize("name", formats.NAMES)
def test_a_weight_is_one_product_and_one_sum_of_what_unpack_gives(name: str) -> None:
    fmt = formats.by_name(name)
    packed = random_blocks(name, (4, 3), seed=3)

    blocks = fmt.unpack(packed)

    columns = 3 * fmt.BLOCK
    assert (blocks.codes.dtype, blocks.codes.shape) == (np.dtype(np.int8), (4, columns))
    assert (blocks.scale.dtype, blocks.scale.shape) == (
        np.dtype(np.float32),
        (4, columns // fmt.SUB_BLOCK),
    )
    weights = blocks.codes.astype(np.float32) * np.repeat(blocks.scale, fmt.SUB_BLOCK, axis=-1)
    if blocks.minimum is not None:
        weights = weights + np.repeat(blocks.minimum, fmt.SUB_BLOCK, axis=-1)
    assert weights.tobytes() == oracle(name, packed).tobytes()


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("Q4_0", -8, 7),
        ("Q4_1", 0, 15),
        ("Q5_0", -16, 15),
        ("Q5_1", 0, 31),
        ("Q8_0", -128, 127),
        ("Q2_K", 0, 3),
        ("Q3_K", -4, 3),
        ("Q4_K", 0, 15),
        ("Q5_K", 0, 31),
        ("Q6_K", -32, 31),
        ("IQ4_NL", -127, 113),
        ("IQ4_XS", -127, 113),
        ("MXFP4", -12, 12),
        ("F32", 1, 1),
    ],
)
def test_codes_fill_their_range(name: str, lowest: int, highest: int) -> None:
    codes = formats.by_name(name).unpack(random_blocks(name, (8, 16), seed=4)).codes

    assert (codes.min(), codes.max()) == (lowest, highest)


@pytest.mark.parametrize("name", formats.NAMES)
def test_blocks_need_not_lie_together_in_memory(name: str) -> None:
    packed = random_blocks(name, (4, 6), seed=5)
    scattered = packed[::2, ::3]

    got = formats.by_name(name).decode(scattered)

    assert got.tobytes() == oracle(name, scattered.copy()).tobytes()


@pytest.mark.parametrize("name", formats.NAMES)
def test_blocks_need_not_be_writable(name: str) -> None:
    packed = random_blocks(name, (1, 2), seed=6)
    packed.flags.writeable = False

    got = formats.by_name(name).decode(packed)

    assert got.tobytes() == oracle(name, packed).tobytes()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)], ids=str)
@pytest.mark.parametrize("name", formats.NAMES)
def test_no_blocks_are_no_weights(name: str, shape: tuple[int, ...]) -> None:
    fmt = formats.by_name(name)

    got = fmt.decode(np.zeros((*shape, fmt.BLOCK_BYTES), np.uint8))

    assert got.shape == (*shape[:-1], shape[-1] * fmt.BLOCK)


@pytest.mark.parametrize("name", formats.NAMES)
def test_bytes_of_another_shape_or_kind_are_refused(name: str) -> None:
    fmt = formats.by_name(name)
    size = fmt.BLOCK_BYTES
    wrong = [np.zeros((2, size + 1), np.uint8), np.zeros(size, np.uint8), np.zeros((2, size), "i1")]

    for packed in wrong:
        with pytest.raises(UsageError, match=rf"n_blocks, {size}\) uint8"):
            fmt.decode(packed)


@pytest.mark.parametrize("missing", MISSING, ids=["nan", "inf"])
@pytest.mark.parametrize(("name", "at"), EVERY_FIELD)
def test_a_scale_that_is_no_number_is_refused_and_its_block_named(
    name: str, at: int, missing: np.uint16
) -> None:
    fmt = formats.by_name(name)
    packed = random_blocks(name, (4, 5), seed=7)
    packed[2, 3, at : at + 2] = np.array([missing], "<u2").view(np.uint8)

    blocks = fmt.unpack(packed)

    with pytest.raises(CorruptTensor, match=rf"'blk\.0'.*: block {100 + 2 * 5 + 3} has the "):
        formats.check_scales(blocks, tensor="blk.0", block=fmt.BLOCK, first_block=100)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("F32", [0, 0, 0xC0, 0x7F]),
        ("F32", [0, 0, 0x80, 0xFF]),
        ("BF16", [0xC0, 0x7F]),
        ("BF16", [0x80, 0xFF]),
        ("MXFP4", [253, *[0] * 16]),
        ("MXFP4", [254, *[0] * 16]),
        ("MXFP4", [255, *[0] * 16]),
    ],
)
def test_weights_and_exponents_that_are_no_numbers_are_refused(name: str, bad: list[int]) -> None:
    fmt = formats.by_name(name)
    packed = random_blocks(name, (2, 7), seed=8)
    packed[1, 0] = bad

    with pytest.raises(CorruptTensor, match="block 7 has the scale"):
        formats.check_scales(fmt.unpack(packed), tensor="t", block=fmt.BLOCK)


@pytest.mark.parametrize("name", formats.NAMES)
def test_sound_scales_pass_and_their_weights_are_finite(name: str) -> None:
    fmt = formats.by_name(name)
    packed = random_blocks(name, (16, 8), seed=9)

    blocks = fmt.unpack(packed)

    formats.check_scales(blocks, tensor="t", block=fmt.BLOCK)
    assert np.isfinite(blocks.weights()).all()


@pytest.mark.parametrize("name", formats.NAMES)
def test_any_bytes_decode_without_a_warning(name: str) -> None:
    fmt = formats.by_name(name)
    packed = np.random.default_rng(10).integers(0, 256, (64, 64, fmt.BLOCK_BYTES), dtype=np.uint8)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = fmt.decode(packed)

    assert weights.shape == (64, 64 * fmt.BLOCK)


@pytest.mark.parametrize("name", ["IQ2_XXS", "Q4_2", "q4_0", "_blocks", "../errors", ""])
def test_a_format_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedFile, match=rf"'{name}', expected one of BF16"):
        formats.by_name(name)


@pytest.mark.parametrize("number", [4, 16, 999, -1])
def test_a_type_that_is_not_there_is_refused_by_number(number: int) -> None:
    with pytest.raises(UnsupportedFile, match=f"ggml type {number}"):
        formats.by_ggml_type(number)
