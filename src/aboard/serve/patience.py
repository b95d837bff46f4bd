"""How long a connection may take to say what it wants, and to read what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from aboard.serve.noted import noted

if TYPE_CHECKING:
    from aboard.serve.limits import Limits

LEAST_BYTES_PER_S = 1024
"""What a client reads at least, where there is more to read: a modem's speed of 1990."""


class Backlog:
    """What waits to be read on all connections together.

    Beyond `most_bytes` those that have read all the longest ago are given up; one may always wait.

    Parameters
    ----------
    most_bytes : int
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._waiting: dict[Unread, int] = {}
        self.n_bytes = 0

    def add(self, unread: Unread, n_bytes: int) -> None:
        """So many bytes wait there now."""
        self.n_bytes += n_bytes - self._waiting.get(unread, 0)
        self._waiting[unread] = n_bytes
        while self.n_bytes > self._most and len(self._waiting) > 1:
            next(iter(self._waiting)).give_up()

    def remove(self, unread: Unread) -> None:
        """Nothing waits there any more."""
        self.n_bytes -= self._waiting.pop(unread, 0)


class Unread:
    """Watches what waits for a client to read it, and gives up one that doesn't.

    Parameters
    ----------
    transport : asyncio.Transport
        Its buffer is what waits.
    seconds : float
        In which the client must have read all of it, or `LEAST_BYTES_PER_S` in each of them.
    backlog : Backlog
        Of which this is a part.
    give_up : callable
        Called once, where it didn't, or where too much waits altogether.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        seconds: float,
        backlog: Backlog,
        give_up: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._seconds = seconds
        self._backlog = backlog
        self._give_up = give_up
        self._n_left = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something waits from now on."""
        self._n_left = self._transport.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._look)
        self._backlog.add(self, self._n_left)

    def give_up(self) -> None:
        """Wait no longer."""
        self.end()
        self._give_up()

    def end(self) -> None:
        """Nothing waits any more."""
        self._backlog.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        n_read = self._n_left - self._transport.get_write_buffer_size()
        if n_read < LEAST_BYTES_PER_S * self._seconds:
            self.give_up()
        else:
            self.begin()


class PatientProtocol(H11Protocol):
    """Uvicorn's HTTP, with an end to connections that hold the server up.

    Uvicorn ends those that were silent after a response; one that never sends a whole request, or
    reads no answer, would be kept for ever, and what it doesn't read with it.
    """

    headers_timeout_s: ClassVar[float]
    send_timeout_s: ClassVar[float]
    backlog: ClassVar[Backlog]
    _waiting: asyncio.TimerHandle | None = None
    _unread: Unread | None = None

    @classmethod
    def within(cls, limits: Limits) -> type[PatientProtocol]:
        """The protocol of one server, with its patience for headers and for what is unread."""
        fields = {
            "headers_timeout_s": limits.headers_timeout_s,
            "send_timeout_s": limits.send_timeout_s,
            "backlog": Backlog(limits.max_unread_bytes),
        }
        return type(cls.__name__, (cls,), fields)

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        # Writing pauses as soon as bytes aren't taken. Not at 0: TLS of asyncio pauses at as many
        # bytes as this, so that it would pause, and never go on, where all is taken.
        transport.set_write_buffer_limits(high=1, low=0)
        self._unread = Unread(transport, self.send_timeout_s, self.backlog, self._abort)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait no longer once a request is there, and begin again after it."""
        super().data_received(data)
        self._wait()

    def on_response_complete(self) -> None:
        """Uvicorn waits from here on, until something comes."""
        super().on_response_complete()
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """There is nothing to wait for."""
        self._stop_waiting()
        if self._unread is not None:
            self._unread.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client doesn't read as fast as it is written to."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.begin()

    def resume_writing(self) -> None:
        """It has read all."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.end()

    def _abort(self) -> None:
        """Closing would wait until all is read."""
        if self.scope is not None:
            noted(cast(dict[str, Any], self.scope)).code = "client_reads_nothing"
        self.transport.abort()

    def _wait(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self.headers_timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
