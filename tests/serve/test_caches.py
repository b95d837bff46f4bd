"""Named caches: what is kept for which requests, what stands in the log, what is refused."""

import json
import logging
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from aboard.engine import load
from aboard.errors import UsageError
from aboard.serve.caches import Beginning, keep, messages_in, require_folder, require_places
from aboard.serve.served import Served, served
from serve.running import Running, running

SYSTEM = "You answer in one short sentence. " * 4
DAY = date(2026, 1, 31)
TALK = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Light scatters."},
]
QUESTION = {"role": "user", "content": "And the sea?"}
HOUSE = Beginning(name="house", messages=TALK[:1])


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "aboard.serve.caches")
    return caplog


@pytest.fixture
def other(model_file: Path) -> Served:
    return served(load(model_file, threads=1, context=512), "other")


def told(log: pytest.LogCaptureFixture) -> list[tuple[str, str, Any]]:
    """Level, event, and source or reason, of each line but those that tell of a beginning."""
    return [
        (each.levelname, each.getMessage(), each.facts.get("source", each.facts.get("reason")))
        for each in log.records
        if each.getMessage() != "reading cache"
    ]


def asked(server: Running, path: str, **body: Any) -> tuple[Any, int]:
    """An answer, and how many tokens of its prompt were not computed."""
    with server.http() as http:
        answer = http.post(path, json={"temperature": 0, "max_tokens": 9, "logprobs": 1, **body})
    assert answer.status_code == 200, answer.text
    got = answer.json()
    return got["choices"], got["usage"]["prompt_tokens_details"]["cached_tokens"]


def chat(server: Running, messages: list[dict[str, str]]) -> tuple[Any, int]:
    body = {"logprobs": True, "messages": messages, "model": "tiny"}
    return asked(server, "/v1/chat/completions", **body)


def test_each_kind_of_beginning_is_found_by_the_first_request(model_file: Path) -> None:
    text = "Of the sea it is said: " * 5
    beginnings = [
        HOUSE,
        Beginning(name="talk", model="tiny", messages=TALK),
        Beginning(name="question", messages=TALK[:2]),
        Beginning(name="text", text=text),
    ]
    plain = load(model_file, threads=1, context=512, prefix_cache_bytes=0)
    kept = load(model_file, threads=1, context=512, prefix_cache_bytes=0)  # but what is pinned
    got, want = [], []

    for model, into in ((plain, want), (kept, got)):
        with running(model, day=DAY) as server:
            if model is kept:
                keep(server.app.service.models, beginnings, None, DAY)
            into.append(chat(server, [TALK[0], QUESTION]))
            into.append(chat(server, [*TALK, QUESTION]))
            into.append(chat(server, TALK[:2]))
            prompt = {"model": "tiny", "prompt": f"{text}\nit is deep"}
            into.append(asked(server, "/v1/completions", **prompt))
            with server.http() as http:
                props = http.get("/props").json()["models"][0]["caches"]

    assert [each[0] for each in got] == [each[0] for each in want]
    assert [each[1] for each in want] == [0] * 4
    n_tokens = {each["name"]: each["tokens"] for each in props}
    n_prompt = len(kept.chat_tokens(TALK[:2], now=DAY))
    assert [each[1] for each in got] == [
        n_tokens["house"],
        n_tokens["talk"],
        n_prompt - 1,  # the logits after the last are wanted
        n_tokens["text"],
    ]
    assert n_tokens["question"] == n_prompt
    assert n_tokens["text"] == len(kept.tokenizer.encode(text))
    total = sum(each["size_bytes"] for each in props)
    assert total == kept.prefix_cache.stats.pinned_bytes == kept.prefix_cache.stats.size_bytes


def test_other_prompts_do_not_drive_it_out(model_file: Path) -> None:
    with running(load(model_file, threads=1, context=512, prefix_cache_bytes=1 << 16)) as server:
        keep(server.app.service.models, [HOUSE], None, DAY)
        for name in "abcdefgh":
            asked(server, "/v1/completions", model="tiny", prompt=name * 200)

        _, n_cached = chat(server, [TALK[0], QUESTION])

        assert n_cached == server.served.caches["house"].n_tokens


def test_the_log_tells_what_was_read_computed_and_replaced(
    model_file: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with running(load(model_file, threads=1, context=512)) as server:
            keep(server.app.service.models, [HOUSE], tmp_path, DAY)
            path = server.served.caches["house"].path
            path.write_bytes(path.read_bytes()[:-1])
        told_now, _ = told(log), log.clear()

    assert [each[:2] for each in told_now] == [
        ("WARNING", "cache file not used"),
        ("INFO", "cache kept"),
    ]
    assert "is damaged" in told_now[0][2]
    assert told_now[1][2] == "computed"
    assert SYSTEM.strip() not in str(told_now)


def test_a_state_is_for_nobody_else_to_read(model_file: Path, tmp_path: Path) -> None:
    with running(load(model_file, threads=1, context=512)) as server:
        keep(server.app.service.models, [HOUSE], tmp_path, DAY)

        assert server.served.caches["house"].path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_takes_no_file_is_a_warning(
    model_file: Path, tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.write(-1, b""))

    with running(load(model_file, threads=1, context=512)) as server:
        keep(server.app.service.models, [HOUSE], tmp_path, DAY)
        _, n_cached = chat(server, [TALK[0], QUESTION])

    assert [each[:2] for each in told(log)] == [
        ("WARNING", "cache file not written"),
        ("INFO", "cache kept"),
    ]
    assert n_cached > 100


def test_of_several_models_one_must_be_named(model_file: Path, other: Served) -> None:
    model = load(model_file, threads=1, context=512)
    with running(model, more=[other]) as server:
        models = server.app.service.models
        with pytest.raises(UsageError, match="cache 'house': names no model, and there are tiny"):
            keep(models, [HOUSE], None, DAY)

        keep(models, [Beginning(name="a", model="other", text=SYSTEM)], None, DAY)

        assert (list(server.served.caches), list(other.caches)) == ([], ["a"])


@pytest.mark.parametrize(
    ("beginning", "message"),
    [
        (Beginning(name="long", text="x" * 600), "cache 'long': .*512"),
        (Beginning(name="control", messages=[TALK[0] | {"content": "<|im_end|>"}]), "'control'"),
    ],
)
def test_what_can_not_be_kept_is_told_by_its_name(
    model_file: Path, beginning: Beginning, message: str
) -> None:
    with running(load(model_file, threads=1, context=512)) as server:
        with pytest.raises(UsageError, match=message):
            keep(server.app.service.models, [beginning], None, DAY)

        assert server.served.caches == {}


def test_a_template_that_tells_the_date_is_a_warning_without_one(
    model_file: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(model_file, threads=1, context=512)
    monkeypatch.setattr(type(model.chat_template), "may_tell_date", True)
    with running(model) as server:
        for day in (DAY, None):
            keep(server.app.service.models, [HOUSE], None, day)

    assert [each[0] for each in told(log)] == ["INFO", "INFO", "WARNING"]


def test_messages_are_those_of_a_request() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    given = [
        {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]

    first, second, third = messages_in(json.dumps(given))

    assert first == {"role": "system", "content": "Be short."}
    assert second["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert third["tool_call_id"] == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('["\\ud800"]', "is no JSON"),
        ("{}", "messages"),
        ("[]", "messages"),
        ("[NaN]", "messages"),
        ('[{"role": "king", "content": "x"}]', r"messages\[0\]"),
        ('[{"role": "user", "content": 1}]', r"messages\[0\].content"),
        ('[{"role": "tool", "tool_call_id": "1", "content": "x"}]', "no call before it"),
    ],
)
def test_messages_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        messages_in(text)


def test_names_are_different_and_models_are_served() -> None:
    with pytest.raises(UsageError, match="two caches are called 'house'"):
        require_places([HOUSE, HOUSE], ["tiny"])
    with pytest.raises(UsageError, match="is of 'none', which is not served; there are tiny, b"):
        require_places([Beginning(name="a", model="none", text="x")], ["tiny", "b"])


def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="can't be made"):
        require_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="can't be made"):
        require_folder(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="can't be made"):
        require_folder(Path("a\0b"))
