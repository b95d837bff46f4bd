"""The page docs/guide/speculation.md does what it says, with the real model."""

from pathlib import Path

import pytest

from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/speculation.md")


@pytest.fixture
def environment(user_home: str, tmp_path: Path, demo_model: Path) -> dict[str, str]:
    return shell(tmp_path, ABOARD_HOME=user_home)


@pytest.mark.model
def test_the_commands_run(environment: dict[str, str], tmp_path: Path) -> None:
    outcome = run_commands(GUIDE.commands, environment, tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert "saved the state of" in outcome.stderr


@pytest.mark.model
def test_the_python_runs(environment: dict[str, str], tmp_path: Path) -> None:
    assert len(GUIDE.blocks("python")) == 2
    for block in GUIDE.blocks("python"):
        outcome = run_python(block, environment, tmp_path)

        assert outcome.returncode == 0, outcome.stderr
