"""The page docs/guide/structured-output.md does what it says, with the real model."""

from pathlib import Path

import pytest

from aboard.constrain.schema.formats import FORMATS
from aboard.constrain.schema.keywords import APPLICATORS, BY_TYPE, REFUSED
from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/structured-output.md")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    outcome = run_commands(GUIDE.commands, shell(tmp_path), tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert '"city": ' in outcome.stdout
    assert outcome.stdout.splitlines()[-1] in ("Yes", "No")


@pytest.mark.model
@pytest.mark.usefixtures("demo_model")
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    outcome = run_python(GUIDE.python, shell(tmp_path), tmp_path)

    assert len(GUIDE.blocks("python")) == 5
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("word", sorted({*FORMATS, *BY_TYPE, *APPLICATORS, *REFUSED}))
def test_every_keyword_and_format_is_named(word: str) -> None:
    old = {"extends", "disallow", "divisibleBy", "$recursiveRef"}

    assert word in old or f"`{word}`" in GUIDE.text
