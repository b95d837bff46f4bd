"""`aboard check`: lines for people, JSON for programs, a code for both."""

import json
from pathlib import Path

import pytest

from aboard.evaluate import CHECKS
from evaluate.speaking import speaking, with_values

ODD = with_values("blk.0.attn_q.weight", lambda values: values * 0)
DUMB = with_values("output.weight", lambda values: values * 1e-9)


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return str(speaking(tmp_path / "sound.gguf"))


def test_a_sound_model_exits_with_0_and_a_line_for_each_check(call, sound: str) -> None:
    outcome = call("check", sound)

    lines = outcome.stdout.splitlines()
    assert outcome.exit_code == 0
    assert [line.split()[0] for line in lines[:-1]] == list(CHECKS)
    assert lines[-1] == "sound: 19 pass, 3 skip"


def test_a_warning_exits_with_0_and_says_what_was_expected(call, tmp_path: Path) -> None:
    path = speaking(tmp_path / "odd.gguf", change=ODD)

    outcome = call("check", str(path))

    assert outcome.exit_code == 0
    assert "zero-weights    warn  blk.0.attn_q.weight is 0 throughout" in outcome.stdout
    assert "expected: no matrix of one value alone" in outcome.stdout
    assert outcome.stdout.endswith("sound: 18 pass, 1 warn, 3 skip\n")


def test_what_takes_long_is_told_on_stderr(call, sound: str) -> None:
    outcome = call("check", sound, "--activations", "float32")

    words = [line.removeprefix(f"{sound}: ") for line in outcome.stderr.splitlines()]
    assert [word.partition(",")[0] for word in words] == [
        "examining the weights",
        "loading",
        "having it write and read",
    ]
    assert outcome.stdout.splitlines()[-1].startswith("sound: ")


def test_activations_that_there_are_not_are_refused(call, sound: str) -> None:
    outcome = call("check", sound, "--activations", "int4")

    assert outcome.exit_code == 2
    assert "activations is 'int4', expected 'int8' or 'float32'" in outcome.stderr


def test_strict_lets_a_warning_fail(call, tmp_path: Path) -> None:
    path = speaking(tmp_path / "odd.gguf", change=ODD)

    assert call("check", str(path), "--strict").exit_code == 4


def test_an_unsound_model_exits_with_4(call, tmp_path: Path) -> None:
    outcome = call("check", str(speaking(tmp_path / "dumb.gguf", change=DUMB)))

    assert outcome.exit_code == 4
    assert outcome.stdout.splitlines()[-1].startswith("UNSOUND: ")


def test_json_has_every_finding(call, sound: str) -> None:
    outcome = call("check", sound, "--json", "--threads", "1")

    found = json.loads(outcome.stdout)
    assert found["sound"] is True
    assert found["outcome"] == "pass"
    assert [each["name"] for each in found["findings"]] == list(CHECKS)
    assert {*found["findings"][0]} == {"name", "outcome", "found", "expected", "figures"}
    assert found["findings"][18]["figures"]["bits_per_byte"] < 1


def test_json_of_an_unsound_model_exits_with_4(call, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF\x03\x00")

    outcome = call("check", str(path), "--json")

    assert outcome.exit_code == 4
    assert json.loads(outcome.stdout)["outcome"] == "fail"


def test_a_model_that_is_not_there_is_an_error(call) -> None:
    outcome = call("check", "nowhere.gguf")

    assert outcome.exit_code == 1
    assert outcome.stdout == ""
