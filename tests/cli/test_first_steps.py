"""The page docs/guide/first-steps.md does what it says, with the real model."""

from pathlib import Path

import pytest

from guide import Guide, run_commands, shell

GUIDE = Guide("docs/guide/first-steps.md")


@pytest.mark.model
def test_every_block_of_the_page_runs(user_home: str, tmp_path: Path) -> None:
    environment = shell(tmp_path, ABOARD_HOME=user_home)

    outcome = run_commands(GUIDE.commands, environment, tmp_path)

    assert len(GUIDE.blocks("console")) == 5
    assert outcome.returncode == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
