"""The page docs/guide/many-at-once.md does what it says, with the real model."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "many-at-once.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.model
def test_every_block_of_the_page_runs(demo_model: Path) -> None:
    script = "\n".join(BLOCKS)

    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )

    assert len(BLOCKS) == 4
    assert outcome.returncode == 0, outcome.stderr
    assert "n_chunks" in outcome.stdout
