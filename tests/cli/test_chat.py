"""`aboard chat` with lines from a pipe: turns, commands, and what the session processes."""

import errno
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from aboard.cli import dialogue, keyboard, transcript
from aboard.cli.conversation import Conversation, common_prefix
from aboard.errors import UsageError
from cli.fake import ANSWER, FakeModel


def test_every_line_is_a_turn_and_only_new_tokens_are_processed(
    call, model: FakeModel, model_file: str
) -> None:
    outcome = call("chat", model_file, stdin="Why?\n\nAnd then?\n")

    assert outcome.exit_code == 0
    assert outcome.stdout == f"{ANSWER}\n{ANSWER}\n"
    assert model.processed == ["<user>Why?<assistant>", "<user>And then?<assistant>"]


def test_reset_forgets_the_turns_and_keeps_the_instructions(
    call, model: FakeModel, model_file: str
) -> None:
    call("chat", model_file, "--system", "Be brief.", stdin="Why?\n/reset\nWhy?\n")

    assert model.processed == ["<system>Be brief.<user>Why?<assistant>", ">"]


def test_system_starts_anew_with_other_instructions(
    call, model: FakeModel, model_file: str
) -> None:
    call("chat", model_file, stdin="Why?\n/system Be kind.\nWhy?\n/system\nWhy?\n")

    assert model.processed[1:] == ["system>Be kind.<user>Why?<assistant>", "user>Why?<assistant>"]


def test_save_writes_the_messages_to_a_new_file(
    call, model: FakeModel, model_file: str, tmp_path: Path
) -> None:
    outcome = call("chat", model_file, stdin="Why é?\n/save talk.json\n")

    assert outcome.stderr == "aboard: saved to talk.json\n"
    assert json.loads((tmp_path / "talk.json").read_text("utf-8")) == {
        "messages": [
            {"role": "user", "content": "Why é?"},
            {"role": "assistant", "content": ANSWER},
        ]
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/save", "/save needs the name of a file"),
        ("/save model.gguf", "model.gguf exists"),
        ("/save nowhere/talk.json", "nowhere/talk.json: No such file or directory"),
        ("/save ~nobody-of-this-name/talk.json", "'~nobody-of-this-name/talk.json' is no name"),
        ("/save a\0b", "'a\\x00b' is no name of a file"),
        ("/save .", ". exists"),
    ],
)
def test_a_wrong_command_in_a_pipe_ends_the_chat(
    call, model: FakeModel, model_file: str, line: str, message: str
) -> None:
    outcome = call("chat", model_file, stdin=f"{line}\nWhy?\n")

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert model.processed == []


def test_a_talk_that_could_not_be_written_whole_leaves_no_file(
    call, model: FakeModel, model_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    outcome = call("chat", model_file, stdin="Why?\n/save talk.json\n")

    assert "talk.json: No space left on device" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize("existing", [None, "old"])
def test_a_file_system_without_links_keeps_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str | None
) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "talk.json"
    if existing:
        path.write_text(existing)

    with pytest.raises(UsageError, match="exists") if existing else nullcontext():
        transcript.save_transcript(str(path), [])

    assert path.read_text() == (existing or '{\n "messages": []\n}\n')
    assert [each.name for each in tmp_path.iterdir()] == ["talk.json"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("//help", "/help"),
        ("///", "//"),
        ("/", "/"),
        ("/etc/passwd is what?", "/etc/passwd is what?"),
        ("/nonsense", "/nonsense"),
        ("/helpful is it?", "/helpful is it?"),
    ],
)
def test_a_line_of_a_pipe_is_a_command_only_if_its_first_word_is_one(
    call, model: FakeModel, model_file: str, line: str, message: str
) -> None:
    outcome = call("chat", model_file, stdin=f"{line}\n")

    assert outcome.exit_code == 0
    assert model.processed == [f"<user>{message}<assistant>"]


@pytest.mark.parametrize(
    ("line", "message"), [("//nonsense", "/nonsense"), ("/etc/hosts?", "/etc/hosts?")]
)
def test_at_a_terminal_a_message_may_begin_with_a_slash_too(
    call, model: FakeModel, model_file: str, monkeypatch: pytest.MonkeyPatch, line, message
) -> None:
    monkeypatch.setattr(dialogue, "is_interactive", lambda: True)

    call("chat", model_file, stdin=f"{line}\n")

    assert model.processed == [f"<user>{message}<assistant>"]


def test_a_typo_in_a_command_is_told_at_a_terminal_with_the_way_to_say_it(
    call, model: FakeModel, model_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "is_interactive", lambda: True)

    outcome = call("chat", model_file, stdin="/sytem Be kind.\n")

    assert model.processed == []
    assert "there is no /sytem\n  There are /help," in outcome.stderr
    assert outcome.stderr.endswith("To say it, type //sytem.\n")


def test_stats_tell_speed_and_context(call, model: FakeModel, model_file: str) -> None:
    outcome = call("chat", model_file, stdin="/stats\nWhy?\n/stats\n")

    assert outcome.stderr.splitlines() == [
        "0 of 1,000 tokens of context used",
        "64.0 tokens/s answering, 42.0 tokens/s reading; 38 of 1,000 tokens of context used",
    ]


def test_help_lists_every_command(call, model: FakeModel, model_file: str) -> None:
    outcome = call("chat", model_file, stdin="/help\n")

    words = [line.split()[0] for line in outcome.stderr.splitlines()]
    assert words == ["/help", "/reset", "/system", "/save", "/stats", "//TEXT"]


def test_json_prints_one_object_a_turn(call, model: FakeModel, model_file: str) -> None:
    outcome = call("chat", model_file, "--json", stdin="Why?\nAnd?\n")

    answers = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == [ANSWER, ANSWER]


def test_a_context_that_is_full_is_a_clear_error(call, model: FakeModel, model_file: str) -> None:
    model.context_length = 50

    outcome = call("chat", model_file, stdin="Why?\nAnd then?\n")

    assert outcome.exit_code == 1
    assert "the context holds 50" in outcome.stderr
    assert outcome.stdout == f"{ANSWER}\n"


def test_ctrl_c_without_a_terminal_ends_the_chat(call, model: FakeModel, model_file: str) -> None:
    model.interrupt_after = 4

    assert call("chat", model_file, stdin="Why?\nAnd?\n").exit_code == 130


def test_at_a_terminal_errors_and_ctrl_c_do_not_end_the_talk(
    call, model: FakeModel, model_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "is_interactive", lambda: True)
    model.interrupt_after = 4

    outcome = call("chat", model_file, stdin="Why?\n/nonsense\nAnd?\n")

    assert outcome.exit_code == 0
    assert outcome.stdout == f"Beca\n{ANSWER}\n"
    assert outcome.stderr.startswith("aboard: stopped\naboard: there is no /nonsense\n")
    assert model.processed == ["<user>Why?<assistant>", "<user>And?<assistant>"]


def test_a_turn_without_any_answer_leaves_no_trace(model: FakeModel) -> None:
    model.context_length = 5
    conversation = Conversation(model)

    with pytest.raises(Exception, match="the context holds 5"):
        list(conversation.ask("Why?", sampling=None, max_tokens=None, stop=()))

    assert conversation.messages == []


def test_typed_lines_can_be_edited_and_are_kept_for_the_author_alone(home: Path) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("Whz\x7fy?\nhalf a line\x03\x04")
        typed = list(keyboard._typed(True))

    history = home / "chat_history"
    assert typed == ["Why?"]
    assert "+Why?" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_without_history_nothing_is_kept(home: Path) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("secret\n\x04")
        typed = list(keyboard._typed(False))

    assert typed == ["secret"]
    assert not home.exists()


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [([], [], 0), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 9, 3], 1), ([4], [5], 0)],
)
def test_common_prefix(one: list[int], other: list[int], length: int) -> None:
    assert common_prefix(one, other) == length
