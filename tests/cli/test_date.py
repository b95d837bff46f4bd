"""`--date`: the day that a chat template tells; the real engine on a tiny model."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

import aboard
from aboard.errors import TemplateError, UsageError
from tiny import CHATML, tiny_llama

DATED = "{{ strftime_now('%d %B %Y') }}. " + CHATML
MESSAGES = [{"role": "user", "content": "Why?"}]
JANUARY = ("--date", "2026-01-31")


def tiny_model(folder: Path, template: str) -> str:
    metadata = {"tokenizer.chat_template": template}
    return str(tiny_llama(folder / "tiny.gguf", fmt="Q8_0", metadata=metadata))


@pytest.fixture
def dated(tmp_path: Path) -> str:
    return tiny_model(tmp_path, DATED)


def answers(call: Callable[..., object], command: str, *arguments: str) -> list[dict[str, object]]:
    outcome = call(command, *arguments, "--max-tokens", "5", "--json", stdin="Why?\n")
    assert outcome.exit_code == 0, outcome.stderr
    if command == "run":
        return [json.loads(outcome.stdout)]
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_a_model_is_told_the_day_that_is_given(dated: str) -> None:
    model = aboard.load(dated, threads=1)

    tokens = model.chat_tokens(MESSAGES, now=date(2026, 1, 31))

    assert model.tokenizer.decode(tokens, skip_special=False).startswith("31 January 2026. <|im_s")
    assert tokens == model.chat_tokens(MESSAGES, now=datetime(2026, 1, 31, 23, 59))
    assert model.chat(MESSAGES, now=date(2026, 1, 31), max_tokens=4) == "".join(
        model.chat(MESSAGES, now=date(2026, 1, 31), max_tokens=4, stream=True)
    )


def test_without_a_day_a_template_that_must_tell_one_is_refused(dated: str) -> None:
    with pytest.raises(TemplateError, match="strftime_now is unknown") as caught:
        aboard.load(dated, threads=1).chat_tokens(MESSAGES)

    assert caught.value.hint == "The template tells the model a date: give one with `now`."


def test_what_is_no_date_is_refused(dated: str) -> None:
    with pytest.raises(UsageError, match=r"now is str, expected a datetime\.date"):
        aboard.load(dated, threads=1).chat_tokens(MESSAGES, now="2026-01-31")  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["run", "chat"])
def test_the_answer_says_of_which_day_it_is(call, dated: str, command: str) -> None:
    answer = answers(call, command, dated, *(["-"] if command == "run" else []), *JANUARY)[0]

    model = aboard.load(dated, threads=1)
    with model.session() as session:
        tokens = model.chat_tokens(MESSAGES, now=date(2026, 1, 31))
        steps = list(session.generate(tokens, max_tokens=5))
    assert answer["date"] == "2026-01-31"
    assert [token["id"] for token in answer["tokens"]] == [step.token for step in steps]  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["run", "chat"])
def test_by_default_it_is_today(call, dated: str, command: str) -> None:
    before = date.today()

    answer = answers(call, command, dated, *(["-"] if command == "run" else []))[0]

    assert answer["date"] in {before.isoformat(), date.today().isoformat()}


@pytest.mark.parametrize("arguments", [["Why?"], ["Why?", "--raw"]], ids=["chat", "raw"])
def test_where_nothing_depends_on_the_day_none_is_told(
    call, tmp_path: Path, dated: str, arguments: list[str]
) -> None:
    model = dated if "--raw" in arguments else tiny_model(tmp_path, CHATML)

    assert answers(call, "run", model, *arguments)[0]["date"] is None


def test_a_template_that_asks_whether_there_is_a_date_gets_one(call, tmp_path: Path) -> None:
    template = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}" + CHATML
    model = tiny_model(tmp_path, template)

    one, other = (answers(call, "run", model, "Why?", "--date", f"2026-0{i}-11")[0] for i in (3, 4))

    assert one["prompt_tokens"] == other["prompt_tokens"]
    assert one["tokens"] != other["tokens"]


def test_all_turns_of_a_chat_have_one_day(call, dated: str) -> None:
    outcome = call("chat", dated, *JANUARY, "--max-tokens", "3", "--json", stdin="Why?\nHow?\n")

    first, second = (json.loads(line) for line in outcome.stdout.splitlines())
    assert (first["date"], second["date"]) == ("2026-01-31", "2026-01-31")
    assert second["prompt_tokens"] < first["prompt_tokens"] + 20  # the date wasn't read again


@pytest.mark.parametrize(
    ("given", "message"),
    [("31.1.2026", "'31.1.2026' does not match"), ("2026-02-30", "'2026-02-30' does not match")],
)
def test_a_day_that_is_none_is_refused(call, dated: str, given: str, message: str) -> None:
    outcome = call("run", dated, "Why?", "--date", given)

    assert outcome.exit_code == 2
    assert message in " ".join(outcome.stderr.split())


@pytest.mark.parametrize("arguments", [["run", "Why?", "--raw"], ["state", "f", "--raw", "Why?"]])
def test_a_day_for_no_template_is_refused(call, dated: str, arguments: list[str]) -> None:
    command, *rest = arguments

    outcome = call(command, dated, *rest, *JANUARY)

    assert outcome.exit_code == 2
    assert "--date needs the chat template that --raw leaves out" in outcome.stderr


def test_a_state_belongs_to_its_day(call, dated: str) -> None:
    system = ("--system", "Be brief.")
    saved = call("state", dated, "brief.state", *system, *JANUARY, "--json")
    assert json.loads(saved.stdout)["date"] == "2026-01-31"

    same = answers(call, "run", dated, "Why?", *system, *JANUARY, "--state", "brief.state")[0]
    other = call("run", dated, "Why?", *system, "--date", "2026-02-01", "--state", "brief.state")

    plain = answers(call, "run", dated, "Why?", *system, *JANUARY)[0]
    assert same["tokens"] == plain["tokens"]
    assert same["prompt_tokens"] < plain["prompt_tokens"]  # type: ignore[operator]
    assert other.exit_code == 1
    assert "or to that of another day" in other.stderr
