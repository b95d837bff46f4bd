"""Bounds of size, time and number: each is refused as such, and the server goes on."""

import asyncio
import json
import socket

import openai
import pytest

from aboard.engine import Model
from aboard.serve.bodies import Bodies
from aboard.serve.limits import Limits
from aboard.serve.refusals import Refusal
from serve.asgi import request
from serve.gate import gated
from serve.running import running

MESSAGES = [{"role": "user", "content": "x"}]
CHAT = {"model": "tiny", "messages": MESSAGES, "max_tokens": 2, "temperature": 0}
JSON = ("content-type", "application/json")
HEAD = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def healthy(server) -> bool:
    with server.http() as http:
        return http.get("/health").status_code == 200


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    return data


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused(model: Model, announced: bool) -> None:
    body = json.dumps({"content": "x" * 2000}).encode()
    parts = body if announced else iter([body[:900], body[900:]])
    with running(model, limits=Limits(max_body_bytes=1000)) as server, server.http() as http:
        answer = http.post("/tokenize", content=parts, headers=dict([JSON]))
        small = http.post("/tokenize", json={"content": "x" * 900})

        assert (answer.status_code, small.status_code) == (413, 200)
        assert answer.json()["error"]["code"] == "body_too_large"
        assert answer.headers["connection"] == "close"


def test_a_body_that_does_not_come_is_not_waited_for(model: Model) -> None:
    limits = Limits(body_timeout_s=0.05)
    with (
        running(model, limits=limits) as server,
        socket.create_connection(server.address) as connection,
    ):
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"content":')

        assert received(connection).startswith(b"HTTP/1.1 408 ")
        assert healthy(server)


@pytest.mark.parametrize("sent", [b"", b"GET /hea", HEAD])
def test_headers_that_do_not_come_are_not_waited_for(model: Model, sent: bytes) -> None:
    with (
        running(model, limits=Limits(headers_timeout_s=0.5)) as server,
        socket.create_connection(server.address) as connection,
    ):
        connection.sendall(sent)

        assert received(connection) == b""
        assert healthy(server)


def test_headers_of_a_second_request_are_not_waited_for_either(model: Model) -> None:
    with (
        running(model, limits=Limits(headers_timeout_s=0.5)) as server,
        socket.create_connection(server.address) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(1 << 16)

        connection.sendall(b"GET /health HTTP/1.1\r\n")

        assert received(connection) == b""


def test_an_answer_may_take_longer_than_headers(model: Model) -> None:
    limits = Limits(headers_timeout_s=0.5)
    with (
        gated(model) as gate,
        running(model, limits=limits) as server,
        socket.create_connection(server.address) as connection,
    ):
        body = json.dumps(CHAT).encode()
        head = HEAD.replace(b"/tokenize", b"/v1/chat/completions")
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        gate.wait(1)
        with socket.create_connection(server.address) as other:
            assert received(other) == b""  # the time that headers may take is over
        gate.open()

        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


class Body:
    """A request whose body comes in parts, and then waits."""

    def __init__(self, *parts: bytes) -> None:
        self.headers = dict([JSON])
        self._parts = parts

    async def stream(self):
        for part in self._parts:
            yield part


def test_bodies_are_held_within_a_budget() -> None:
    bodies = Bodies(Limits(max_body_bytes=1000, max_bodies_bytes=1000))

    async def work() -> list[int]:
        held = []
        async with bodies.read(Body(b"a" * 400, b"a" * 200)) as first:
            held.append(bodies.held_bytes)
            with pytest.raises(Refusal) as caught:
                async with bodies.read(Body(b"b" * 300, b"b" * 200)):
                    pass
            assert (caught.value.status, caught.value.code) == (503, "no_room")
            assert caught.value.headers["retry-after"] == "1"
            held.append(bodies.held_bytes)
            async with bodies.read(Body(b"b" * 400)):
                held.append(bodies.held_bytes)
            assert first == b"a" * 600
        return [*held, bodies.held_bytes]

    assert asyncio.run(work()) == [600, 600, 1000, 0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 415),
        ([("content-type", "text/plain")], 415),
        ([("content-type", "application/x-www-form-urlencoded")], 415),
        ([("content-type", "application/json-seq")], 415),
        ([("content-type", "Application/JSON; charset=utf-8")], 200),
        ([JSON, ("content-encoding", "gzip")], 415),
        ([JSON, ("content-encoding", "identity")], 200),
    ],
)
def test_only_plain_json_is_read(model: Model, headers: list, status: int) -> None:
    with running(model) as server:
        answer = request(
            server.app, "POST", "/tokenize", [("host", "localhost"), *headers], b'{"content":"a"}'
        )

        assert answer.status == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"content": "a"} x', "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"content": "\xff"}', "invalid_json"),
        (b'{"content": "\\ud800"}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b"null", "invalid_value"),
        (b"[]", "invalid_value"),
        (b'"content"', "invalid_value"),
        (b'{"content": NaN}', "invalid_value"),
        (b'{"content": 1e999}', "invalid_value"),
        (b'{"content": "a", "content ": 1}', "unknown_parameter"),
    ],
)
def test_what_is_no_json_object_is_refused(model: Model, body: bytes, code: str) -> None:
    with running(model) as server:
        answer = request(server.app, "POST", "/tokenize", [("host", "localhost"), JSON], body)

        assert (answer.status, answer.code) == (400, code)


def test_more_answers_than_may_wait_are_refused_until_there_is_room(model: Model) -> None:
    limits = Limits(max_sequences=1, max_waiting=1)
    with gated(model) as gate, running(model, limits=limits) as server:
        scheduler = server.served.scheduler
        held = [scheduler.submit([1], max_tokens=1) for _ in range(2)]

        with server.openai() as client, pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**CHAT)
        gate.open()
        for each in held:
            each.text()

        assert caught.value.code == "queue_full"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert scheduler.load.n_requests == 0
        with server.openai() as client:
            assert client.chat.completions.create(**CHAT).usage.completion_tokens == 2


def test_of_several_answers_none_is_computed_where_not_all_may_wait(model: Model) -> None:
    limits = Limits(max_sequences=1, max_waiting=3)
    with gated(model) as gate, running(model, limits=limits) as server:
        held = server.served.scheduler.submit([1], max_tokens=1)
        gate.wait(1)

        with server.openai() as client, pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**CHAT, n=4)
        gate.open()
        held.text()

        assert list(server.served.scheduler.submit([1], max_tokens=1))
        assert gate.n_passes == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long_is_told_as_such(model: Model, stream: bool) -> None:
    with running(model, limits=Limits(answer_timeout_s=1e-6)) as server:
        with server.openai() as client, pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**CHAT, stream=stream)

        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert healthy(server)


def test_who_asks_for_much_does_not_hold_up_another(model: Model) -> None:
    limits = Limits(max_sequences=1, max_waiting=50)
    order: list[str] = []
    with gated(model) as gate, running(model, limits=limits) as server:
        scheduler = server.served.scheduler
        first = scheduler.submit([1], max_tokens=1, owner="first")
        gate.wait(1)
        for owner in ("much", "much", "much", "little"):
            scheduler.submit(
                [1], max_tokens=1, owner=owner, on_change=lambda owner=owner: order.append(owner)
            )
        gate.open()
        first.text()
        scheduler.submit([1], max_tokens=1, owner="much").text()

    assert order == ["much", "little", "much", "much"]
