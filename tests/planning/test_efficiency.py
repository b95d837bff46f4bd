"""Parts of the bounds: every format has them, and what they were taken from was measured."""

import json
from pathlib import Path

import pytest

from aboard import formats
from aboard.planning import Ceiling
from aboard.planning.efficiency import SHARES, decode_bytes_per_s

RESULTS = Path(__file__).parents[2] / "bench" / "results.jsonl"


def measured() -> dict[str, dict[str, dict[str, float]]]:
    """The last fractions of each format, by kind of work and threads."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {each["format"]: each["fractions"] for each in lines if each["bench"] == "plan_formats"}


@pytest.mark.parametrize("name", formats.NAMES)
def test_the_table_says_what_was_measured(name: str) -> None:
    found, share = measured()[name], SHARES[name]

    assert share.decode_one == round(found["decode 1"]["median"], 2)
    assert share.prompt_one == round(found["prompt 1"]["median"], 2)
    assert share.prompt == round(found["prompt 2"]["median"], 2)
    assert share.decode in (0.75, round(found["decode 2"]["median"], 2))


def test_arithmetic_bounds_a_device_whose_memory_is_fast() -> None:
    slow, fast = (
        Ceiling(threads=4, bytes_per_s=rate, ops_per_s={"avx2": 1.2e12}) for rate in (40e9, 900e9)
    )

    bound = decode_bytes_per_s("Q4_0", fast, 300e9)

    assert decode_bytes_per_s("Q4_0", slow, 300e9) == 0.75 * 40e9
    assert bound == pytest.approx(4 * 300e9 * 0.87 * 25.5 / 302)
    assert decode_bytes_per_s("Q4_0", fast, 600e9) == pytest.approx(2 * bound)
