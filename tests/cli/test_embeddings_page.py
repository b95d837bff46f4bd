"""The page docs/guide/embeddings.md does what it says, with a tiny model."""

import json
from pathlib import Path

from guide import Guide, run_commands, run_python, shell
from tiny_encoders import TinyBert, bert_folder

GUIDE = Guide("docs/guide/embeddings.md")


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    bert_folder(tmp_path / "all-MiniLM-L6-v2", TinyBert(text_length=100))
    (tmp_path / "questions.txt").write_text("Where is the sea?\nWho bakes?\n")
    environment = shell(tmp_path)

    told = run_commands(GUIDE.commands, environment, tmp_path)
    printed = run_python(GUIDE.python, environment, tmp_path)

    assert told.returncode == 0, told.stderr
    assert printed.returncode == 0, printed.stderr
    vectors = json.loads((tmp_path / "vectors.json").read_text())["embeddings"]
    assert [len(line.split()) for line in told.stdout.splitlines()[-2:]] == [64, 64]
    assert [len(vector) for vector in vectors] == [64, 64]
    assert printed.stdout.endswith(".\n")
