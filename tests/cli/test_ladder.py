"""`aboard ladder`: a table for people, JSON for programs, a card and figures in a folder."""

import json
from pathlib import Path

import pytest

from tiny_mixed import mixed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(1500)))
    model = mixed(tmp_path / "model.gguf", 0.0)
    return [str(model), "--sizes", "q8_0,q4_0", "--text", str(text), "--window", "32", "-o", "out"]


def test_a_table_has_the_sizes_and_the_last_line_is_the_card(
    call, asked: list[str], tmp_path: Path
) -> None:
    outcome = call("ladder", *asked)

    lines = outcome.stdout.splitlines()
    assert outcome.exit_code == 0
    assert [line.split()[0] for line in lines[:-1]] == ["size", "Q4_0", "Q8_0"]
    assert lines[-1] == "out/card.html"
    assert (tmp_path / "out" / "card.html").is_file()
    assert "ladder: 2,906 tokens" in outcome.stderr


def test_json_is_that_of_the_folder(call, asked: list[str], tmp_path: Path) -> None:
    outcome = call("ladder", *asked, "--json")

    found = json.loads(outcome.stdout)
    assert found == json.loads((tmp_path / "out" / "card.json").read_text())
    assert [each["name"] for each in found["ladder"]] == ["Q8_0", "Q4_0"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.gguf"], 1, "nowhere.gguf"),
        (["model.gguf", "--sizes", "q9"], 2, "'q9' is no size of a ladder"),
        (["model.gguf", "--sizes", "q4_0", "--text", "missing.txt"], 2, "missing.txt"),
        (["model.gguf", "--sizes", "q4_0", "--text", "empty.txt"], 2, "fewer than two tokens"),
    ],
)
def test_what_cant_be_climbed_is_an_error(
    arguments: list[str], code: int, message: str, call, tmp_path: Path
) -> None:
    mixed(tmp_path / "model.gguf", 0.0)
    (tmp_path / "empty.txt").touch()

    outcome = call("ladder", *arguments)

    assert outcome.exit_code == code
    assert message in outcome.stderr
