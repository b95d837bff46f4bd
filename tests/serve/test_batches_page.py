"""The page docs/guide/batches.md does what it says, with tiny models."""

import json
import subprocess
from pathlib import Path

from aboard.artifact.importing import import_checkpoint
from guide import Guide, run_python, shell
from tiny import tiny_llama
from tiny_encoders import TinyBert, bert_folder

GUIDE = Guide("docs/guide/batches.md")
ADDRESS = "http://127.0.0.1:8080"


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "model.gguf", fmt="Q8_0", seed=4)
    import_checkpoint(bert_folder(tmp_path / "bert", TinyBert()), tmp_path / "encoder.gguf")
    environment = shell(tmp_path, ABOARD_PORT="0")
    program = subprocess.Popen(
        ["bash", "-c", f"exec {GUIDE.commands} --json"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = json.loads(program.stdout.readline())["url"]

    printed = run_python(GUIDE.python.replace(ADDRESS, address), environment, tmp_path)
    program.terminate()

    assert program.wait() == 0
    program.stdout.close()
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert lines[0] == "completed 2"
    assert lines[-1].startswith("2 64 ")
    assert "Ask at the harbour." in lines
    assert "['questions.jsonl']" in lines
    assert (tmp_path / "kept" / "kept.sqlite").exists()
