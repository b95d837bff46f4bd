"""Clients that go away, in every way they can: their answers end with the step under way."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aboard.engine import Model, load
from aboard.serve.limits import Limits
from aboard.serve.patience import PatientProtocol
from serve.gate import Gate, gated
from serve.running import Running, running
from serve.watch import Watch, watched
from waiting import until

BODY = {"model": "tiny", "messages": [{"role": "user", "content": "go on"}], "temperature": 0}


@pytest.fixture(scope="module")
def own_model(model_file: Path) -> Model:
    return load(model_file, threads=1, context=512)


@pytest.fixture
def gate(own_model: Model) -> Iterator[Gate]:
    with gated(own_model) as gate:
        yield gate


@pytest.fixture
def one(own_model: Model, gate: Gate) -> Iterator[Running]:
    """A server that computes one answer at a time."""
    limits = Limits(max_sequences=1, max_waiting=8, drain_s=0.0)
    with running(own_model, limits=limits) as server:
        yield server
        gate.open()


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watched() as watch:
        yield watch


def asking(
    server: Running,
    path: str = "/v1/chat/completions",
    asked: dict[str, object] = BODY,
    **more: object,
) -> socket.socket:
    """A connection on which a request was sent."""
    body = json.dumps(asked | more).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(server.address)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return connection


def close(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


LEAVE = [close, reset, half_close]


STREAMS = [
    lambda server: asking(server, stream=True, n=1),
    lambda server: asking(server, stream=True, n=3),
    lambda server: asking(server, "/completion", {"prompt": "Hello"}, stream=True),
]


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("asked", STREAMS)
def test_a_stream_that_nobody_reads_any_more_ends(
    one: Running, gate: Gate, watch: Watch, leave, asked: Callable[[Running], socket.socket]
) -> None:
    connection = asked(one)
    gate.let(3)
    while b'"content":"' not in connection.recv(1 << 16):
        pass

    leave(connection)

    assert watch.next()["code"] == "client_gone"
    before = gate.n_passes
    gate.open()
    assert list(one.served.scheduler.submit([1], max_tokens=2))
    assert gate.n_passes <= before + 1 + 2  # the one under way, and those of the new answer
    connection.close()


@pytest.mark.parametrize("leave", LEAVE)
def test_an_answer_that_nobody_waits_for_any_more_ends(
    one: Running, gate: Gate, watch: Watch, leave
) -> None:
    connection = asking(one)
    gate.let(3)
    gate.wait(4)

    leave(connection)

    assert watch.next()["code"] == "client_gone"
    gate.open()
    assert list(one.served.scheduler.submit([1], max_tokens=2))
    assert gate.n_passes <= 3 + 1 + 2
    connection.close()


def test_an_answer_whose_turn_has_not_come_is_not_computed(
    one: Running, gate: Gate, watch: Watch
) -> None:
    first = asking(one, max_tokens=5)
    gate.wait(1)
    second = asking(one)
    until(lambda: one.served.scheduler.load.n_waiting)

    second.close()

    assert watch.next()["code"] == "client_gone"
    gate.open()
    assert b"200 OK" in first.recv(1 << 16)
    assert watch.next()["completion_tokens"] == 5
    assert gate.n_passes == 5
    first.close()


def test_many_that_go_leave_nothing_behind(one: Running, gate: Gate, watch: Watch) -> None:
    gate.open()
    for number in range(100):
        connection = asking(one, stream=bool(number % 2), seed=number)
        if number % 3:
            connection.recv(1)
        LEAVE[number % 2](connection)
        watch.next()

    scheduler = one.served.scheduler
    assert list(scheduler.submit([1], max_tokens=2))
    assert scheduler.load.n_requests == 0
    assert one.app.service.bodies.held_bytes == 0
    scheduler.close()  # what its thread still holds of the last step counts as used
    model = one.served.model
    assert model.decoder.kv_memory()["used_bytes"] == model.prefix_cache.stats.size_bytes


def test_a_client_that_reads_nothing_loses_its_answer(
    own_model: Model, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = PatientProtocol.connection_made

    def with_little_room(protocol: PatientProtocol, transport: Any) -> None:
        made(protocol, transport)
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    monkeypatch.setattr(PatientProtocol, "connection_made", with_little_room)
    with running(own_model, limits=Limits(send_timeout_s=0.05)) as server:
        more = {"stream": True, "n": 4, "max_tokens": 40, "logprobs": True, "top_logprobs": 20}
        connection = asking(server, **more)  # reads nothing of some 200 KB

        told = watch.next()

        connection.close()
    assert told["code"] == "client_reads_nothing"
