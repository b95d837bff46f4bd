"""Rounding numbers to blocks, against the `gguf` package: the same bytes."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from aboard import formats
from aboard.errors import UsageError

ENCODED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16", "F32")


def weights(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers of every size that occurs, blocks of zeros and of one value among them."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 3, (*shape[:-1], 1))
    values[..., :32] = 0
    values[..., 32:64] = 0.25
    values[..., 64:96] = np.linspace(-127, 127, 32) / 2  # halves, for the rounding
    return values.astype(np.float32)


def test_the_formats_that_can_be_written_are_these() -> None:
    assert sorted(formats.plainly_encodable()) == sorted(ENCODED)
    assert set(formats.encodable()) == {*ENCODED, *formats.searchable()}


@pytest.mark.parametrize("shape", [(160,), (5, 256), (2, 3, 128)], ids=str)
@pytest.mark.parametrize("name", ENCODED)
def test_bytes_are_those_of_the_gguf_package(name: str, shape: tuple[int, ...]) -> None:
    values = weights(shape, seed=len(shape))

    got = formats.encoder(name).encode(values)

    want = quants.quantize(values, GGMLQuantizationType[name])
    assert got.dtype == np.uint8
    assert got.shape[:-1] == (*shape[:-1], shape[-1] // formats.by_name(name).BLOCK)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_what_a_float_format_holds_comes_back_exactly(name: str) -> None:
    fmt = formats.encoder(name)
    raw = np.random.default_rng(2).integers(0, 256, (1000, fmt.BLOCK_BYTES), dtype=np.uint8)
    values = fmt.decode(raw)
    kept = np.isfinite(values)

    got = fmt.encode(values[kept])

    assert got.tobytes() == raw[kept].tobytes()


@pytest.mark.parametrize("name", ENCODED)
def test_weights_smaller_than_any_scale_become_zero(name: str) -> None:
    tiny = np.full((1, 32), 1e-45, np.float32)
    tiny[0, 0] = -3e-45

    decoded = formats.by_name(name).decode(formats.encoder(name).encode(tiny))

    assert np.abs(decoded).max() <= 3e-45


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("F16", 65520.0, "float16"),
        ("BF16", 3.4e38, "bfloat16"),
        ("Q8_0", 1e7, "float16"),
        ("Q4_0", -6e5, "float16"),
        ("Q4_1", 1e6, "float16"),
        ("Q5_0", 2e6, "float16"),
        ("Q5_1", -7e4, "float16"),
    ],
)
def test_a_weight_beyond_the_range_is_refused(name: str, value: float, kind: str) -> None:
    values = np.zeros((2, 64), np.float32)
    values[1, 40] = value

    with pytest.raises(UsageError, match=f" is beyond the range of {kind}$"):
        formats.encoder(name).encode(values)


@pytest.mark.parametrize("name", ENCODED)
def test_rows_that_are_no_blocks_or_no_float32_are_refused(name: str) -> None:
    fmt = formats.encoder(name)

    with pytest.raises(UsageError, match="expected float32 rows"):
        fmt.encode(np.zeros((1, 32)))  # type: ignore[arg-type]
    if fmt.BLOCK > 1:
        with pytest.raises(UsageError, match="rows of a multiple of 32"):
            fmt.encode(np.zeros((2, 33), np.float32))


@pytest.mark.parametrize("name", ["q8_0", "Q4_K", "IQ1_S", ""])
def test_a_format_that_is_not_written_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected one of Q4_0"):
        formats.encoder(name)


@pytest.mark.parametrize("name", ENCODED)
def test_formats_of_plain_rules_are_encoded_by_them(name: str) -> None:
    values = weights((2, 128), seed=3)

    assert formats.encode(name, values).tobytes() == formats.encoder(name).encode(values).tobytes()


@pytest.mark.parametrize("name", ["Q4_K", "Q2_K", "IQ4_NL"])
def test_the_other_formats_are_searched(name: str) -> None:
    values = weights((2, 256), seed=4)

    assert formats.encode(name, values).tobytes() == formats.round_to(name, values).tobytes()


@pytest.mark.parametrize("name", ["q8_0", "MXFP4", "IQ1_S", ""])
def test_a_format_that_is_never_written_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected one of Q2_K, Q3_K, IQ4_XS"):
        formats.encode(name, np.zeros((1, 256), np.float32))
