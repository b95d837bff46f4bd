"""`aboard state`, and what `run` and `chat` do with the file: the real engine on a tiny model."""

import json
from pathlib import Path

import pytest

from tiny import tiny_llama

SYSTEM = "Be brief, be kind."


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(tiny_llama(tmp_path / "tiny.gguf", fmt="Q8_0"))


@pytest.fixture
def saved(call, tiny: str) -> str:
    assert call("state", tiny, "brief.state", "--system", SYSTEM).exit_code == 0
    return "brief.state"


def ask(call, tiny: str, *options: str) -> dict[str, object]:
    outcome = call("run", tiny, "Why?", "--max-tokens", "9", "--json", *options)
    assert outcome.exit_code == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_it_says_what_it_saved(call, tiny: str) -> None:
    outcome = call("state", tiny, "brief.state", "--system", SYSTEM)

    # <|im_start|>, "system", a line's end, the text, <|im_end|>, ..., up to the user's own text
    assert outcome.stderr == "aboard: saved the state of 34 tokens to brief.state\n"
    assert outcome.stdout == ""


def test_json_says_it_too(call, tiny: str) -> None:
    outcome = call("state", tiny, "brief.state", "--system", SYSTEM, "--json")

    assert json.loads(outcome.stdout) == {
        "file": "brief.state",
        "date": None,
        "tokens": 34,
        "size_bytes": Path("brief.state").stat().st_size,
    }


def test_an_answer_from_a_state_is_the_answer_without(call, tiny: str, saved: str) -> None:
    plain = ask(call, tiny, "--system", SYSTEM)

    got = ask(call, tiny, "--system", SYSTEM, "--state", saved)

    assert got["tokens"] == plain["tokens"]
    assert got["prompt_tokens"] == plain["prompt_tokens"] - 34


def test_a_state_in_int8_serves_answers_in_int8(call, tiny: str) -> None:
    kv = ("--kv", "int8")
    assert call("state", tiny, "small.state", "--system", SYSTEM, *kv).exit_code == 0
    plain = ask(call, tiny, "--system", SYSTEM, *kv)

    got = ask(call, tiny, "--system", SYSTEM, *kv, "--state", "small.state")

    assert got["tokens"] == plain["tokens"]
    assert got["prompt_tokens"] == plain["prompt_tokens"] - 34


def test_a_state_of_another_kv_format_is_refused(call, tiny: str, saved: str) -> None:
    outcome = call("run", tiny, "Why?", "--system", SYSTEM, "--kv", "int8", "--state", saved)

    assert outcome.exit_code == 1
    assert "kv is f16, this model's is int8" in outcome.stderr


def test_a_text_of_its_own_may_be_saved(call, tiny: str) -> None:
    call("state", tiny, "once.state", "--raw", "Why, once")
    arguments = ["run", tiny, "Why, once upon", "--raw", "--max-tokens", "9", "--json"]
    plain = json.loads(call(*arguments).stdout)

    got = json.loads(call(*arguments, "--state", "once.state").stdout)

    assert got["tokens"] == plain["tokens"]
    assert (plain["prompt_tokens"], got["prompt_tokens"]) == (14, 5)


def test_a_prompt_that_is_the_very_text_begins_its_answer_anew(call, tiny: str) -> None:
    call("state", tiny, "once.state", "--raw", "once")
    arguments = ["run", tiny, "once", "--raw", "--max-tokens", "9", "--json"]
    plain = json.loads(call(*arguments).stdout)

    got = json.loads(call(*arguments, "--state", "once.state").stdout)

    assert got["tokens"] == plain["tokens"]


def test_a_chat_begins_with_the_state(call, tiny: str, saved: str) -> None:
    options = ["--system", SYSTEM, "--max-tokens", "9", "--json"]
    plain = call("chat", tiny, *options, stdin="Why?\nWhy not?\n")

    got = call("chat", tiny, *options, "--state", saved, stdin="Why?\nWhy not?\n")

    turns = [[json.loads(line) for line in each.stdout.splitlines()] for each in (plain, got)]
    assert [turn["tokens"] for turn in turns[1]] == [turn["tokens"] for turn in turns[0]]
    assert turns[1][0]["prompt_tokens"] == turns[0][0]["prompt_tokens"] - 34
    assert turns[1][1]["prompt_tokens"] == turns[0][1]["prompt_tokens"]


@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize("options", [[], ["--system", "Be brief, be rude."]], ids=["none", "other"])
def test_a_state_of_other_instructions_is_refused(
    call, tiny: str, saved: str, command: str, options: list[str]
) -> None:
    prompt = ["-"] if command == "run" else []

    outcome = call(command, tiny, *prompt, "--state", saved, *options, stdin="Why?\n")

    assert outcome.exit_code == 1
    assert "brief.state: holds the state of 34 tokens, but the prompt differs" in outcome.stderr
    assert "It belongs to another prompt" in outcome.stderr
    assert outcome.stdout == ""


def test_other_instructions_typed_in_a_chat_leave_the_state_behind(
    call, tiny: str, saved: str
) -> None:
    outcome = call(
        "chat", tiny, "--state", saved, "--max-tokens", "3", stdin="/system Be loud.\nWhy?\n"
    )

    assert outcome.exit_code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged"),
        (lambda path: path.write_bytes(b"ABOARDKV"), "is no saved session"),
        (lambda path: path.write_text("state"), "is no saved session"),
        (lambda path: path.unlink(), "No such file"),
    ],
    ids=["cut", "empty", "other", "absent"],
)
@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_file_that_is_no_state_is_refused(
    call, tiny: str, saved: str, command: str, change, message: str
) -> None:
    change(Path(saved))
    prompt = ["-"] if command == "run" else []

    outcome = call(command, tiny, *prompt, "--system", SYSTEM, "--state", saved, stdin="Why?\n")

    assert outcome.exit_code in (1, 2)
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_a_state_of_other_weights_is_refused(call, tmp_path: Path, saved: str) -> None:
    other = str(tiny_llama(tmp_path / "other.gguf", fmt="Q8_0", seed=1))

    outcome = call("run", other, "Why?", "--system", SYSTEM, "--state", saved)

    assert outcome.exit_code == 1
    assert "brief.state: weights_sha256 is" in outcome.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected either --system TEXT or --raw TEXT"),
        (["--system", "a", "--raw", "b"], "expected either --system TEXT or --raw TEXT"),
        (["--system", " "], "the text is empty"),
        (["--raw", ""], "the text is empty"),
        (["--raw", "\udce9"], "the text is not UTF-8 at character 0"),
        (["--system", "a<|im_end|>b"], "message 1 holds '<|im_end|>', a control token"),
    ],
)
def test_a_wrong_request_exits_with_2(call, tiny: str, options: list[str], message: str) -> None:
    outcome = call("state", tiny, "x.state", *options)

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert not Path("x.state").exists()


def test_a_text_that_may_merge_with_all_that_follows_is_refused(
    call, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny vocabulary merges nothing across words; a real one makes "On" and "ce" one token.
    monkeypatch.setattr("aboard.engine.opening.text_opening", lambda model, text: [])

    outcome = call("state", tiny, "x.state", "--raw", "On")

    assert outcome.exit_code == 2
    assert "no token of 'On' is sure to begin every prompt" in outcome.stderr
    assert "save a longer text" in outcome.stderr
    assert not Path("x.state").exists()


def test_a_folder_that_is_not_there_is_told(call, tiny: str) -> None:
    outcome = call("state", tiny, "nowhere/x.state", "--raw", "a")

    assert outcome.exit_code == 2
    assert "nowhere/x.state" in outcome.stderr
