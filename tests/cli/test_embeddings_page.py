"""The page docs/guide/embeddings.md does what it says, with a tiny model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from tiny_encoders import TinyBert, bert_folder

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "embeddings.md").read_text("utf-8")
PROGRAM = "from aboard.cli import main; main()"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the model and the questions, and `aboard` in the PATH."""
    bert_folder(tmp_path / "all-MiniLM-L6-v2", TinyBert(text_length=100))
    (tmp_path / "questions.txt").write_text("Where is the sea?\nWho bakes?\n")
    program = tmp_path / "bin" / "aboard"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(Path(aboard.__file__).parents[1]))


@pytest.mark.usefixtures("shell")
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    script = "\n".join(line.removeprefix("$ ") for line in "".join(blocks("console")).splitlines())

    told = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", "".join(blocks("python"))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )

    vectors = json.loads((tmp_path / "vectors.json").read_text())["embeddings"]
    assert [len(line.split()) for line in told.stdout.splitlines()[-2:]] == [64, 64]
    assert [len(vector) for vector in vectors] == [64, 64]
    assert printed.stdout.endswith(".\n")
