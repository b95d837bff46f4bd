"""The page docs/guide/evaluate.md does what it says, with the real model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "evaluate.md").read_text("utf-8")
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
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": package,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    commands = "".join(blocks("console")).splitlines()
    script = "\n".join(line.removeprefix("$ ") for line in commands)

    outcome = subprocess.run(
        ["bash", "-euc", script], env=environment, capture_output=True, text=True, cwd=tmp_path
    )

    assert outcome.returncode == 0, outcome.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["verdict"] == "measurable difference"
    assert 0.1 < found["kl_mean"] < 0.6
    assert f"KL divergence            {found['kl_mean']:.5f} nats" in outcome.stdout
    assert "own, 2 questions" in outcome.stdout
    for name in re.findall(r"`([a-z_0-9]+)`", PAGE.split("## Questions")[0].split("|---|")[-1]):
        assert name in found


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_python_runs(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", "".join(blocks("python"))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "identical 0.0\n"
