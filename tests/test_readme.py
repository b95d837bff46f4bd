"""README.md does what it says: its commands and its Python, with the real model."""

import re
import subprocess
from pathlib import Path

import pytest

from guide import ROOT, Guide, run_commands, run_python, shell

GUIDE = Guide("README.md")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return shell(tmp_path)


@pytest.mark.model
def test_the_commands_run(environment: dict[str, str]) -> None:
    outcome = run_commands(GUIDE.commands, environment, ROOT)

    assert outcome.returncode == 0, outcome.stderr
    assert "numerics_version" in outcome.stdout


@pytest.mark.model
def test_the_python_runs(environment: dict[str, str]) -> None:
    subprocess.run(
        ["aboard", "pull", "smollm2-135m"], env=environment, check=True, capture_output=True
    )

    assert GUIDE.blocks("python")
    for block in GUIDE.blocks("python"):
        outcome = run_python(block, environment, ROOT)

        assert outcome.returncode == 0, outcome.stderr


def test_every_page_it_points_to_exists() -> None:
    pages = re.findall(r"\]\((?!http)([^)]+)\)", GUIDE.text)

    assert pages
    assert [page for page in pages if not (ROOT / page).exists()] == []
