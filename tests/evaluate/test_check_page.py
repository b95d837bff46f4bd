"""The page docs/guide/check.md does what it says, with the real model, and names every check."""

import re
from pathlib import Path

import pytest

from aboard.evaluate import CHECKS
from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/check.md")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_commands_run(tmp_path: Path) -> None:
    outcome = run_commands(GUIDE.commands, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines()[-1].startswith("sound: ")
    assert (tmp_path / "report.json").stat().st_size > 0


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_python_runs(tmp_path: Path) -> None:
    outcome = run_python(GUIDE.python, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines()[-1].startswith("True 0.9")


def test_the_table_has_every_check_in_order() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", GUIDE.text, re.MULTILINE) == list(CHECKS)
