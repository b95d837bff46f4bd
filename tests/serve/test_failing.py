"""What goes wrong inside: the client is told, the log says where, and others don't notice."""

import io
import json
import logging
import threading
from collections.abc import Iterator

import openai
import pytest

from aboard.engine import Model, Request
from aboard.errors import NotEnoughMemory, NumericalError
from aboard.serve.logs import JsonLines
from serve.failing import failing
from serve.gate import gated
from serve.running import Running, running
from waiting import until

SECRET = "a secret that no log may hold"
MESSAGES = [{"role": "user", "content": SECRET}]
CHAT = {"model": "tiny", "messages": MESSAGES, "max_tokens": 8, "temperature": 0}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is written to stderr."""
    text, logger = io.StringIO(), logging.getLogger("aboard.serve")
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_the_answer_that_fails_in_these_tests_would_not_end_before(model: Model) -> None:
    with model.session() as session:
        assert len(list(session.generate(model.chat_tokens(MESSAGES), max_tokens=8))) == 8


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (ValueError(SECRET), 500, "internal_error", "x-should-retry"),
        (NumericalError("no logits"), 500, "no_logits", "x-should-retry"),
        (MemoryError(), 503, "no_memory", "retry-after"),
    ],
)
def test_a_failure_before_the_first_token_has_a_status(
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    stream: bool,
    error: Exception,
    status: int,
    code: str,
    retry: str,
) -> None:
    monkeypatch.setattr(model, "decoder", failing(error)(model.decoder))
    with running(model) as server, server.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**CHAT, stream=stream)

        assert (caught.value.status_code, caught.value.code) == (status, code)
        assert retry in caught.value.response.headers
        assert SECRET not in caught.value.response.text


def test_a_failure_within_a_stream_is_its_last_event(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "decoder", failing(NotEnoughMemory("full"), 3)(model.decoder))
    with running(model) as server, server.openai() as client:
        with pytest.raises(openai.APIError, match="full") as caught:
            list(client.chat.completions.create(**CHAT, stream=True))

        assert caught.value.code == "no_memory"


def test_a_failure_that_is_seen_with_the_steps_before_it_ends_the_stream(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop hears of the first step and of the end alone, as on a busy machine."""
    tell = Request.tell
    told: list[Request] = []

    def tell_of_first_and_last(request: Request) -> None:
        told.append(request)
        if len(told) == 1 or request.error is not None:
            tell(request)

    monkeypatch.setattr(Request, "tell", tell_of_first_and_last)
    monkeypatch.setattr(model, "decoder", failing(NotEnoughMemory("full"), 3)(model.decoder))
    with (
        running(model) as server,
        server.openai() as client,
        pytest.raises(openai.APIError, match="full"),
    ):
        list(client.chat.completions.create(**CHAT, stream=True, timeout=60))


def test_a_stream_that_the_server_ends_says_so(model: Model) -> None:
    with gated(model) as gate, running(model) as server, server.openai() as client:
        gate.let(2)
        events = iter(client.chat.completions.create(**CHAT, stream=True))
        next(events)
        gate.wait(3)
        closing = threading.Thread(target=server.app.service.models.close)
        closing.start()
        until(lambda: server.served.scheduler.closed)
        gate.open()

        with pytest.raises(openai.APIError, match="ending") as caught:
            list(events)

        closing.join()
        assert caught.value.code == "ending"


def test_a_server_that_is_ending_takes_on_nothing(server: Running) -> None:
    server.app.service.ending = True
    with server.http() as http, server.openai() as client:
        health = http.get("/health")
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(**CHAT)
    server.app.service.ending = False

    assert (health.status_code, caught.value.status_code) == (503, 503)
    assert caught.value.response.headers["retry-after"] == "5"


def test_the_log_holds_no_word_of_prompt_or_answer(server: Running, log: io.StringIO) -> None:
    with server.openai() as client, server.http() as http:
        http.get("/health")  # what came before is in the log by now
        log.truncate(log.seek(0))
        client.chat.completions.create(**CHAT, logprobs=True)
        list(client.chat.completions.create(**CHAT, stream=True, user=SECRET))
        http.post("/v1/completions", json={"model": SECRET, "prompt": SECRET, SECRET: 1})
        http.get(f"/{SECRET}?{SECRET}", headers={"user-agent": SECRET})
        http.post("/tokenize", json={"content": SECRET})
        http.get("/health")

    told = [json.loads(line) for line in log.getvalue().splitlines()]
    lines = [line for line in told if line["route"] != "/health"]
    assert len(lines) == 5
    assert "secret" not in log.getvalue()
    assert lines[0] == {
        "time": lines[0]["time"],
        "level": "info",
        "event": "request",
        "id": lines[0]["id"],
        "owner": "127.0.0.1",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "duration_s": lines[0]["duration_s"],
        "model": "tiny",
        "first_token_s": lines[0]["first_token_s"],
        "prompt_tokens": lines[0]["prompt_tokens"],
        "cached_tokens": lines[0]["cached_tokens"],
        "completion_tokens": lines[0]["completion_tokens"],
        "finish_reasons": lines[0]["finish_reasons"],
    }
    assert [line["status"] for line in lines] == [200, 200, 400, 404, 200]
    assert [line.get("code") for line in lines[2:4]] == ["unknown_parameter", "not_found"]


def test_a_defect_is_logged_by_its_place_and_not_by_its_words(
    server: Running, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(server.served.model, "chat_tokens", broken)
    with server.openai() as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**CHAT)

    assert caught.value.code == "internal_error"
    assert SECRET not in caught.value.response.text + log.getvalue()
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    defect = next(line for line in told if line["level"] == "error")
    assert defect["error"] == "ValueError"
    assert defect["places"][-1].startswith("test_failing.py:")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [0, 3])
def test_a_defect_of_the_engine_is_logged_by_its_place_and_not_by_its_words(
    model: Model, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, stream: bool, after: int
) -> None:
    monkeypatch.setattr(model, "decoder", failing(ValueError(SECRET), after)(model.decoder))
    with running(model) as server, server.openai() as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(**CHAT, stream=stream))

    told = [json.loads(line) for line in log.getvalue().splitlines()]
    defects = [line for line in told if line["level"] == "error"]
    assert [line["error"] for line in defects] == ["ValueError"]
    assert any(place.startswith("scheduler_batch.py:") for place in defects[0]["places"])
    assert SECRET not in log.getvalue()


def test_an_error_that_is_no_defect_is_not_logged_as_one(
    model: Model, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "decoder", failing(NotEnoughMemory("full"))(model.decoder))
    with running(model) as server, server.openai() as client, pytest.raises(openai.APIError):
        client.chat.completions.create(**CHAT)

    levels = [json.loads(line)["level"] for line in log.getvalue().splitlines()]
    assert levels == ["info"]


def test_of_a_message_that_shows_what_was_being_done_the_first_line_is_logged() -> None:
    record = logging.LogRecord(
        "asyncio", logging.ERROR, "", 0, f"a task failed\nfuture: {SECRET}", None, None
    )

    assert json.loads(JsonLines().format(record))["event"] == "a task failed"
