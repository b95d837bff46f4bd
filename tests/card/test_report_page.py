"""The page docs/guide/report.md does what it says, with the real model."""

import json
from pathlib import Path

import pytest

from card.pages import Page
from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/report.md")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_the_commands_run(tmp_path: Path) -> None:
    outcome = run_commands(GUIDE.commands, shell(tmp_path), tmp_path)

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
    outcome = run_python(GUIDE.python, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "identical 211\n"
