"""`aboard run`: what is printed where, and what reaches the engine."""

import json
from pathlib import Path

import pytest

from aboard.engine import PromptLookup
from aboard.engine.sampling import Sampling
from cli.fake import ANSWER, FakeModel
from tiny import tiny_llama


def test_the_answer_alone_is_on_stdout(call, model: FakeModel, model_file: str) -> None:
    outcome = call("run", model_file, "Why?")

    assert outcome.exit_code == 0
    assert outcome.stdout == f"{ANSWER}\n"
    assert outcome.stderr == ""
    assert model.processed == ["<user>Why?<assistant>"]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_prompt_is_read_from_stdin(
    call, model: FakeModel, model_file: str, arguments: list[str]
) -> None:
    call("run", model_file, *arguments, stdin="two\nlines é\n")

    assert model.processed == ["<user>two\nlines é<assistant>"]


def test_raw_leaves_the_template_out(call, model: FakeModel, model_file: str) -> None:
    call("run", model_file, "Once", "--raw")

    assert model.processed == ["Once"]


def test_system_comes_first(call, model: FakeModel, model_file: str) -> None:
    call("run", model_file, "Why?", "--system", "Be brief.")

    assert model.processed == ["<system>Be brief.<user>Why?<assistant>"]


@pytest.mark.parametrize("command", ["run", "chat"])
def test_every_option_reaches_the_engine(
    call, model: FakeModel, model_file: str, command: str
) -> None:
    sampling = "--temperature 0.7 --top-k 40 --top-p 0.9 --min-p 0.05 --seed 7"
    penalties = "--repetition-penalty 1.1 --presence-penalty 0.2 --frequency-penalty 0.3"
    rest = "--max-tokens 5 --stop A --stop B --threads 3 --context 99 --kv int8"

    prompt = ["-"] if command == "run" else []
    call(command, model_file, *prompt, *f"{sampling} {penalties} {rest}".split(), stdin="Why?\n")

    assert model.loaded_with == {
        "path": Path(model_file),
        "threads": 3,
        "context": 99,
        "kv": "int8",
    }
    assert model.calls == [
        {
            "sampling": Sampling(
                temperature=0.7,
                top_k=40,
                top_p=0.9,
                min_p=0.05,
                repetition_penalty=1.1,
                presence_penalty=0.2,
                frequency_penalty=0.3,
                seed=7,
            ),
            "max_tokens": 5,
            "stop": ("A", "B"),
        }
    ]


def test_json_holds_text_tokens_timing_and_reason(call, model: FakeModel, model_file: str) -> None:
    outcome = call("run", model_file, "Why?", "--json", "--seed", "3", "--date", "2026-01-31")

    answer = json.loads(outcome.stdout)
    assert answer.pop("tokens")[0] == {"id": 66, "text": "B", "logprob": -0.5}
    assert answer == {
        "model": model_file,
        "seed": 3,
        "date": "2026-01-31",
        "text": ANSWER,
        "finish_reason": "stop",
        "prompt_tokens": 21,
        "generated_tokens": 17,
        "drafted_tokens": 0,
        "accepted_tokens": 0,
        "first_token_s": 0.5,
        "prompt_tokens_per_s": 42.0,
        "decode_tokens_per_s": 64.0,
    }


def test_an_answer_cut_by_its_limit_is_noted(call, model: FakeModel, model_file: str) -> None:
    outcome = call("run", model_file, "Why?", "--max-tokens", "7")

    assert outcome.stdout == "Because\n"
    assert outcome.stderr == "aboard: stopped after 7 tokens, the limit of --max-tokens\n"


def test_an_answer_cut_by_the_context_is_noted_as_such(
    call, model: FakeModel, model_file: str
) -> None:
    model.context_length = 25

    outcome = call("run", model_file, "Why?")

    assert outcome.stdout == "Beca\n"
    assert outcome.stderr == "aboard: stopped after 4 tokens: the context of 25 is full\n"


@pytest.mark.parametrize("command", ["run", "chat"])
def test_speculation_is_off_unless_asked_for(
    call, model: FakeModel, model_file: str, command: str
) -> None:
    prompt = ["-"] if command == "run" else []

    call(command, model_file, *prompt, stdin="Why?\n")
    call(command, model_file, *prompt, "--speculate", "prompt", stdin="Why?\n")

    assert model.guessed_by[0] is None
    assert isinstance(model.guessed_by[1], PromptLookup)


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_draft_model_gives_the_answer_without_it_and_is_told(
    call, tmp_path: Path, command: str
) -> None:
    target = str(tiny_llama(tmp_path / "tiny.gguf"))
    draft = str(tiny_llama(tmp_path / "draft.gguf", width=32, ffn=64, layers=1))
    prompt = ["-"] if command == "run" else []
    arguments = [command, target, *prompt, "--max-tokens", "90", "--json"]
    plain = json.loads(call(*arguments, stdin="Why?\n").stdout)

    got = json.loads(call(*arguments, "--draft", draft, stdin="Why?\n").stdout)

    assert got["tokens"] == plain["tokens"]
    assert got["drafted_tokens"] > 0


def test_a_draft_model_of_another_vocabulary_exits_with_2(call, tmp_path: Path) -> None:
    target = str(tiny_llama(tmp_path / "tiny.gguf"))
    draft = str(tiny_llama(tmp_path / "draft.gguf", vocabulary=300))

    outcome = call("run", target, "Why?", "--draft", draft)

    assert outcome.exit_code == 2
    assert "draft.gguf: its tokenizer" in outcome.stderr
    assert outcome.stdout == ""


def test_a_pipe_gets_the_text_as_it_is(call, model: FakeModel, model_file: str) -> None:
    model.answer = "\x1b[31m\tred\x07"

    assert call("run", model_file, "Why?").stdout == "\x1b[31m\tred\x07\n"


def test_ctrl_c_ends_with_130_and_keeps_what_came(call, model: FakeModel, model_file: str) -> None:
    model.interrupt_after = 4

    outcome = call("run", model_file, "Why?")

    assert outcome.exit_code == 130
    assert outcome.stdout.strip() == "Beca"


def test_a_prompt_too_long_is_an_error_without_traceback(
    call, model: FakeModel, model_file: str
) -> None:
    model.context_length = 10

    outcome = call("run", model_file, "Why?")

    assert outcome.exit_code == 1
    assert outcome.stderr == "aboard: 21 tokens, the context holds 10\n  Start anew.\n"
    assert outcome.stdout == ""


def test_a_model_without_a_template_needs_raw(call, model: FakeModel, model_file: str) -> None:
    model.chat_template = None

    outcome = call("run", model_file, "Why?")

    assert outcome.exit_code == 1
    assert "has no chat template" in outcome.stderr
    assert "--raw" in outcome.stderr


@pytest.mark.parametrize("arguments", [[], ["--raw"]])
def test_a_model_without_a_tokenizer_is_told_as_such(
    call, model: FakeModel, model_file: str, arguments: list[str]
) -> None:
    model.has_tokenizer = False
    model.chat_template = None

    outcome = call("run", model_file, "Why?", *arguments)

    assert outcome.exit_code == 1
    assert outcome.stderr == "aboard: model.gguf: has no tokenizer\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--raw", "--system", "S", "hi"], None, "--system needs the chat template"),
        ([], "", "the prompt is empty"),
        (["-"], "\n \n", "the prompt is empty"),
        ([""], None, "the prompt is empty"),
        (["hi", "--system", "\udce9"], None, "--system is not UTF-8 at character 0"),
        ([], b"caf\xe9", "the prompt on stdin is not UTF-8 at byte 3"),
        (["caf\udce9"], None, "the prompt is not UTF-8 at character 3"),
        (["hi", "--repetition-penalty", "0"], None, "repetition_penalty is 0"),
        (["hi", "--frequency-penalty", "9"], None, "frequency_penalty is 9.0, expected -2 to 2"),
        (["hi", "--speculate", "prompt", "--draft", "m"], None, "exclude each other"),
        (["hi", "--stop", "\udce9"], None, "--stop is not UTF-8 at character 0"),
    ],
)
def test_a_wrong_request_exits_with_2(
    call, model: FakeModel, model_file: str, arguments: list[str], stdin, message: str
) -> None:
    outcome = call("run", model_file, *arguments, stdin=stdin)

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert model.processed == []
