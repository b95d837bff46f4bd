"""The page docs/guide/check.md does what it says, with the real model, and names every check."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from aboard.evaluate import CHECKS

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "check.md").read_text("utf-8")
PROGRAM = "from aboard.cli import main; main()"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_commands_run(tmp_path: Path) -> None:
    program = tmp_path / "aboard"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    package = str(Path(aboard.__file__).parents[1])
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": package}
    script = "\n".join(line.removeprefix("$ ") for line in "".join(blocks("console")).splitlines())

    outcome = subprocess.run(
        ["bash", "-euc", script], env=environment, capture_output=True, text=True, cwd=tmp_path
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines()[-1].startswith("sound: ")
    assert (tmp_path / "report.json").stat().st_size > 0


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_python_runs() -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", "".join(blocks("python"))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines()[-1].startswith("True 0.9")


def test_the_table_has_every_check_in_order() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(CHECKS)
