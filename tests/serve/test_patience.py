"""Clients that don't read: their connections end, and what was kept for them is gone."""

import asyncio
import json
import socket

import pytest

from aboard.engine import Model
from aboard.serve.limits import Limits
from aboard.serve.patience import LEAST_BYTES_PER_S, Backlog, Unread
from serve.running import Running, running
from waiting import until

LARGE = {"content": "a" * 200_000, "with_pieces": True}  # the answer has 4 MB


def asking(server: Running, body: dict) -> socket.socket:
    """A connection on which a request was sent, with little room for the answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(server.address)
    data = json.dumps(body).encode()
    connection.sendall(
        b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(data) + data
    )
    return connection


def test_an_answer_that_is_not_a_stream_does_not_wait_for_ever_either(model: Model) -> None:
    with running(model, limits=Limits(send_timeout_s=0.05)) as server:
        connection = asking(server, LARGE)
        connection.recv(1)

        until(lambda: not server.server.server_state.connections)

        connection.close()


def test_what_nobody_reads_is_bounded_together(model: Model) -> None:
    with running(model, limits=Limits(max_unread_bytes=1)) as server, server.http() as http:
        connections = []
        for _ in range(3):
            connections.append(asking(server, LARGE | {"content": "a" * 400_000}))
            connections[-1].recv(1)
        until(lambda: len(server.server.server_state.connections) == 1)
        assert http.get("/health").status_code == 200

        data = b""
        while not data.endswith(b"]}"):  # the last has lost nothing
            data += connections[-1].recv(1 << 16)

        for each in connections:
            each.close()


def test_those_that_waited_longest_go_and_the_last_stays() -> None:
    given_up: list[str] = []

    async def work() -> int:
        backlog = Backlog(100)
        unread = {
            name: Unread(Buffer(size), 60.0, backlog, lambda name=name: given_up.append(name))
            for name, size in {"a": 40, "b": 50, "c": 60, "d": 500}.items()
        }
        for each in unread.values():
            each.begin()
        waits = backlog.n_bytes
        unread["d"].end()
        assert backlog.n_bytes == 0
        return waits

    assert asyncio.run(work()) == 500
    assert given_up == ["a", "b", "c"]


def test_a_client_that_reads_gets_all_of_it(model: Model) -> None:
    with running(model) as server, asking(server, LARGE | {"content": "a" * 40_000}) as connection:
        data = b""
        while not data.endswith(b"]}"):
            data += connection.recv(1 << 16)

    assert len(json.loads(data.partition(b"\r\n\r\n")[2])["tokens"]) == 40_000


class Buffer:
    """A transport of which as much waits as the test says, look after look."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = list(sizes)

    def get_write_buffer_size(self) -> int:
        return self._sizes.pop(0)

    @property
    def n_left(self) -> int:
        return len(self._sizes)


SECONDS = 0.01
ENOUGH = int(LEAST_BYTES_PER_S * SECONDS) + 1


@pytest.mark.parametrize(
    "sizes",
    [[10_000, 10_000], [10_000, 9_999], [10_000, 9_000, 9_000, 9_000 - ENOUGH, 5_000, 4_999]],
)
def test_who_reads_slowly_is_waited_for_and_who_hardly_reads_is_not(
    sizes: list[int],
) -> None:
    buffer = Buffer(*sizes)

    async def work() -> None:
        given_up = asyncio.Event()
        unread = Unread(buffer, SECONDS, Backlog(1 << 20), given_up.set)
        unread.begin()
        await given_up.wait()

    asyncio.run(work())

    assert buffer.n_left == 0


def test_who_has_read_all_is_not_given_up() -> None:
    async def work() -> list[str]:
        happened: list[str] = []
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        unread = Unread(Buffer(5), SECONDS, Backlog(1 << 20), lambda: happened.append("given up"))
        unread.begin()
        loop.call_later(SECONDS * 2, over.set)  # behind the timer, if that still ran
        unread.end()
        await over.wait()
        return happened

    assert asyncio.run(work()) == []
