"""The page docs/guide/speculation.md does what it says, with the real model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "speculation.md").read_text("utf-8")
PROGRAM = "from aboard.cli import main; main()"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def user_home() -> str:
    """The user's own ABOARD_HOME, so that the model is fetched once and then found."""
    return os.environ.get("ABOARD_HOME", "")


@pytest.fixture
def shell(user_home: str, tmp_path: Path, demo_model: Path) -> dict[str, str]:
    """An environment whose `aboard` is the package under test, with the demo model."""
    program = tmp_path / "bin" / "aboard"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    package = str(Path(aboard.__file__).parents[1])
    own = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": package}
    return {**os.environ, **own, "ABOARD_HOME": user_home}


@pytest.mark.model
def test_the_commands_run(shell: dict[str, str], tmp_path: Path) -> None:
    script = "\n".join(
        line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()
    )

    outcome = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env=shell,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert "saved the state of" in outcome.stderr


@pytest.mark.model
def test_the_python_runs(shell: dict[str, str], tmp_path: Path) -> None:
    assert len(blocks("python")) == 2
    for block in blocks("python"):
        outcome = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            env=shell,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

        assert outcome.returncode == 0, outcome.stderr
