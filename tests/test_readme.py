"""README.md does what it says: its commands and its Python, with the real model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard

PAGE = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
PROGRAM = "from aboard.cli import main; main()"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment whose `aboard` is the package under test."""
    program = tmp_path / "aboard"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    package = str(Path(aboard.__file__).parents[1])
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": package}


@pytest.mark.model
def test_the_commands_run(shell: dict[str, str]) -> None:
    script = "\n".join(
        line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()
    )

    outcome = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=shell, capture_output=True, text=True
    )

    assert outcome.returncode == 0, outcome.stderr
    assert "numerics_version" in outcome.stdout


@pytest.mark.model
def test_the_python_runs(shell: dict[str, str]) -> None:
    subprocess.run(["aboard", "pull", "smollm2-135m"], env=shell, check=True, capture_output=True)

    for block in blocks("python"):
        outcome = subprocess.run(
            [sys.executable, "-W", "error", "-c", block], env=shell, capture_output=True, text=True
        )

        assert outcome.returncode == 0, outcome.stderr


def test_every_page_it_points_to_exists() -> None:
    root = Path(__file__).parents[1]
    pages = re.findall(r"\]\((?!http)([^)]+)\)", PAGE)

    assert pages
    assert [page for page in pages if not (root / page).exists()] == []
