"""The page docs/guide/evaluate.md does what it says, with the real model."""

import json
import re
from pathlib import Path

import pytest

from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/evaluate.md")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_commands_run(tmp_path: Path) -> None:
    outcome = run_commands(GUIDE.commands, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["verdict"] == "measurable difference"
    assert 0.1 < found["kl_mean"] < 0.6
    assert f"KL divergence            {found['kl_mean']:.5f} nats" in outcome.stdout
    assert "own, 2 questions" in outcome.stdout
    for name in re.findall(
        r"`([a-z_0-9]+)`", GUIDE.text.split("## Questions")[0].split("|---|")[-1]
    ):
        assert name in found


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_python_runs(tmp_path: Path) -> None:
    outcome = run_python(GUIDE.python, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "identical 0.0\n"
