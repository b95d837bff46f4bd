"""The page docs/guide/many-at-once.md does what it says, with the real model."""

from pathlib import Path

import pytest

from guide import Guide, run_python, shell

GUIDE = Guide("docs/guide/many-at-once.md")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    outcome = run_python(GUIDE.python, shell(tmp_path), tmp_path)

    assert len(GUIDE.blocks("python")) == 4
    assert outcome.returncode == 0, outcome.stderr
    assert "n_chunks" in outcome.stdout
