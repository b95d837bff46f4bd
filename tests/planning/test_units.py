"""Sizes and bandwidths: what people write is understood, or refused with what to write."""

import pytest

from aboard.errors import UsageError
from aboard.planning import parse_bandwidth, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8GB", 8_000_000_000),
        ("8 GiB", 8 * 2**30),
        ("8gb", 8_000_000_000),
        ("7.5GiB", 15 * 2**29),
        (" 512MB ", 512_000_000),
        ("100B", 100),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:

    assert parse_size(text) == size_bytes


def test_bandwidths() -> None:
    assert parse_bandwidth("60GB/s") == 60_000_000_000
    assert parse_bandwidth("55.5 GiB/s") == 111 * 2**29


@pytest.mark.parametrize(
    ("parse", "text", "hint"),
    [
        (parse_bandwidth, "60GB", "bytes a second"),
        (parse_bandwidth, "480Gb/s", "Gb are bits"),
        (parse_size, "8GB/s", "That is a bandwidth"),
        (parse_size, "8Gb", "Gb are bits"),
        (parse_size, "eight", "8GB"),
        (parse_size, "-8GB", "8GB"),
        (parse_size, "0GB", "8GB"),
        (parse_size, "8G", "8GB"),
        (parse_size, "9999999TB", "8GB"),
        (parse_size, "1" * 400 + "GB", "8GB"),
        (parse_size, "٨GB", "8GB"),
    ],
)
def test_what_is_misspelt_is_refused_with_what_to_write(parse, text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)

    assert hint in (caught.value.hint or "")
