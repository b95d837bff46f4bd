"""`aboard eval`: a table for people, JSON for programs, progress on stderr, and a kill survived."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aboard.cli.eval_progress import duration, lines
from tiny_mixed import mixed

PROGRAM = "from aboard.cli import main; main()"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "aboard" / "evaluate"


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """MODEL --against REFERENCE, and a text, in windows of 32."""
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(1500)))
    model = mixed(tmp_path / "model.gguf", 0.1)
    reference = mixed(tmp_path / "reference.gguf", 0.0)
    files = [str(model), "--against", str(reference), "--text", str(text)]
    return [*files, "--window", "32", "--threads", "1"]


def test_a_table_says_what_was_lost(call, pair: list[str]) -> None:
    outcome = call("eval", *pair)

    names = [line.split("  ")[0] for line in outcome.stdout.splitlines()]
    assert outcome.exit_code == 0
    assert names == [
        *("text", "perplexity", "bits per byte", "perplexity of reference", "perplexity ratio"),
        *("KL divergence", "same likeliest token", "flips", "worst 1 % of tokens", "verdict"),
    ]
    assert "text.txt, 1,453 tokens in 47 sequences" in outcome.stdout
    assert outcome.stdout.endswith("measurable difference\n")
    assert outcome.stderr == "text: 1,453 tokens\n"


def test_json_has_what_programs_ask_for(call, pair: list[str]) -> None:
    found = json.loads(call("eval", *pair, "--json").stdout)

    low, high = found["kl_ci95"]
    assert low < found["kl_mean"] < high
    assert 0 < found["same_top_fraction"] < 1
    assert found["n_tokens"] == 1453
    assert found["ppl_ratio"] == pytest.approx(
        found["perplexity"] / found["text"]["comparison"]["reference_perplexity"]
    )
    assert found["bits_per_byte"] > 0
    assert found["command"].startswith("aboard eval ")
    assert len(found["text"]["sequences"]) == 47


def test_a_card_is_written_beside_the_table(call, pair: list[str], tmp_path: Path) -> None:
    card = tmp_path / "card.html"

    outcome = call("eval", *pair, "--card", str(card), "--json")

    found = json.loads(outcome.stdout)
    assert outcome.exit_code == 0
    assert f"aboard: the card is {card}" in outcome.stderr
    assert f'value="{found["kl_mean"]!r}"' in card.read_text("utf-8")


def test_a_card_that_cannot_be_written_is_refused_before_anything_is_measured(
    call, pair: list[str]
) -> None:
    outcome = call("eval", *pair, "--card", "missing/card.html")

    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("aboard: missing/card.html: no file can be written there")


def test_tasks_have_a_table_each(call, tmp_path: Path) -> None:
    own = {"prompt": "one two", "choices": ["three", "four"], "answer": 0}
    said = {"text": "one two three"}
    (tmp_path / "own.jsonl").write_text(json.dumps(own))
    (tmp_path / "lambada.jsonl").write_text(json.dumps(said))
    model = str(mixed(tmp_path / "model.gguf", 0.1))

    outcome = call(
        "eval", model, "--against", model, "--tasks", "own=own.jsonl", "--tasks", str(tmp_path)
    )

    assert outcome.exit_code == 0
    first, second = outcome.stdout.split("\n\n")
    assert first.startswith("task                     own, 1 questions")
    assert "by character" in first
    assert "identical answers" in first
    assert "lambada, 1 questions" in second
    assert "perplexity" in second
    assert outcome.stderr == "own: 1 questions\nlambada: 1 questions\n"


def test_a_perplexity_beyond_numbers_is_null_in_json_and_told(
    call, pair: list[str], tmp_path: Path
) -> None:
    mixed(tmp_path / "model.gguf", 0.1, surer=1e5)

    as_json = call("eval", *pair, "--json", "--card", "card.html")
    table = call("eval", *pair)

    def refused(name: str) -> object:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(as_json.stdout, parse_constant=refused)
    assert found["perplexity"] is None
    assert found["text"]["comparison"]["ppl_ratio"] is None
    assert found["kl_mean"] > 700
    assert (
        "a perplexity is beyond what a number holds: inf here, and null in JSON" in as_json.stderr
    )
    assert "perplexity               inf" in table.stdout
    assert (tmp_path / "card.html").is_file()


def test_without_a_text_it_says_how_little_that_is(call, tmp_path: Path) -> None:
    outcome = call("eval", str(mixed(tmp_path / "model.gguf", 0.1)))

    assert outcome.exit_code == 0
    assert "aboard: no text was given: the built-in one has" in outcome.stderr
    assert "built-in text" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.gguf"], 1, "nowhere.gguf"),
        (["model.gguf", "--text", "missing.txt"], 2, "missing.txt: can't be read"),
        (["model.gguf", "--text", "latin.txt"], 2, "latin.txt: is not UTF-8 at byte 1"),
        (["model.gguf", "--text", "empty.txt"], 2, "fewer than two tokens"),
        (["model.gguf", "--tasks", "latin.txt"], 2, "is no task"),
        (["model.gguf", "--tasks", "mine=empty.txt"], 2, "holds no question"),
        (["model.gguf", "--window", "5000"], 2, "a window of 5000 tokens"),
        (["model.gguf", "--window", "1"], 2, "--window"),
        (["model.gguf", "--kv", "int4"], 2, "int4"),
    ],
)
def test_what_cant_be_evaluated_is_an_error(
    arguments: list[str], code: int, message: str, call, tmp_path: Path
) -> None:
    mixed(tmp_path / "model.gguf", 0.1)
    (tmp_path / "latin.txt").write_bytes(b"a\xff")
    (tmp_path / "empty.txt").touch()

    outcome = call("eval", *arguments)

    assert outcome.exit_code == code
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_a_killed_run_goes_on_to_the_same_result(call, pair: list[str], cache: Path) -> None:
    want = call("eval", *pair, "--json", "--no-resume").stdout
    watched = (
        "import os, signal\n"
        "from aboard.evaluate.unfinished import Unfinished\n"
        "plain = Unfinished.add\n"
        "def add(self, of, number, figures):\n"
        "    plain(self, of, number, figures)\n"
        "    if number == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Unfinished.add = add\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", watched + PROGRAM, "eval", *pair], capture_output=True
    )
    (state,) = cache.iterdir()
    kept = len([line for line in state.read_bytes().splitlines() if line])

    outcome = call("eval", *pair, "--json")

    assert killed.returncode == -signal.SIGKILL
    assert kept == 21
    assert json.loads(outcome.stdout) == json.loads(want)
    assert not list(cache.iterdir())


def test_lines_tell_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 0.0, 5.0, 12.0, 13.0, 30.0, 40.0])
    told = lines(clock=lambda: next(times))

    for done in (0, 100, 200, 300, 500, 1000):
        told("text", done, 1000)

    assert capsys.readouterr().err == (
        "text: 1,000 tokens\n"
        "text: 200 of 1,000 tokens, 48 s left\n"
        "text: 500 of 1,000 tokens, 30 s left\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_are_in_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
