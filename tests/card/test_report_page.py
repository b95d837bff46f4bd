"""The page docs/guide/report.md does what it says, with the real model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from card.pages import Page

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "report.md").read_text("utf-8")
PROGRAM = "from aboard.cli import main; main()"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_commands_run(tmp_path: Path) -> None:
    program = tmp_path / "aboard"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(aboard.__file__).parents[1]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    commands = "".join(blocks("console")).splitlines()
    script = "\n".join(line.removeprefix("$ ") for line in commands)

    outcome = subprocess.run(
        ["bash", "-euc", script], env=environment, capture_output=True, text=True, cwd=tmp_path
    )

    assert outcome.returncode == 0, outcome.stderr
    card = Page((tmp_path / "card.html").read_text("utf-8"))
    assert "evaluation.text.comparison.kl_mean" in card.figures
    assert 50_000 < (tmp_path / "card.html").stat().st_size < 200_000
    found = json.loads((tmp_path / "sizes" / "card.json").read_text())
    assert [each["name"] for each in found["ladder"]] == ["Q5_0", "Q4_0"]
    assert (tmp_path / "sizes" / "card.html").is_file()
    assert not list((tmp_path / "sizes").glob("**/*.gguf"))


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_python_runs(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", "".join(blocks("python"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "identical 211\n"
