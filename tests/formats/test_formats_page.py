"""The page on formats says of each what its module says."""

import re
from pathlib import Path

from aboard import formats

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
ROW = re.compile(r"\| (\w+) \| ([\d.]+) \| (\d+), (\d+) \| (\d+|-) \|")


def test_the_table_has_every_format_with_its_sizes() -> None:
    rows = {name: numbers for name, *numbers in ROW.findall(PAGE.read_text(encoding="utf-8"))}

    expected = {}
    for name in formats.NAMES:
        fmt = formats.by_name(name)
        sub_block = "-" if fmt.SUB_BLOCK == 1 else str(fmt.SUB_BLOCK)
        bits = f"{8 * fmt.BLOCK_BYTES / fmt.BLOCK:g}"
        expected[name] = [bits, str(fmt.BLOCK), str(fmt.BLOCK_BYTES), sub_block]
    assert rows == expected
