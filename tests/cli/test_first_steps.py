"""The page docs/guide/first-steps.md does what it says, with the real model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "first-steps.md"
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
PROGRAM = "from aboard.cli import main; main()"


@pytest.fixture(scope="module")
def user_home() -> str:
    """The user's own ABOARD_HOME, so that the model is fetched once and then found."""
    return os.environ.get("ABOARD_HOME", "")


@pytest.fixture
def shell(user_home: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH whose first `aboard` is the package under test."""
    program = tmp_path / "bin" / "aboard"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(aboard.__file__).parents[1]))
    monkeypatch.setenv("ABOARD_HOME", user_home)


@pytest.mark.model
@pytest.mark.usefixtures("shell")
def test_every_block_of_the_page_runs() -> None:
    script = "\n".join(line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines())

    outcome = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )

    assert len(BLOCKS) == 5
    assert outcome.returncode == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr
