"""The page on architectures says what the code and the golden files say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tool_writes() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "architectures.py"))

    page = tool["page"]()

    assert tool["PAGE"].read_text("utf-8") == page, "run: make docs"
