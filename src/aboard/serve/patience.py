"""How long a connection may take to say what it wants, and to read what it gets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from aboard.closing import Closing

if TYPE_CHECKING:
    from starlette.types import Send


class PatientProtocol(H11Protocol):
    """Uvicorn's HTTP, with an end to connections whose headers don't come.

    Uvicorn ends those that were silent after a response; one that never sends a whole request would
    be kept for ever.
    """

    headers_timeout_s: ClassVar[float] = 15.0
    _waiting: asyncio.TimerHandle | None = None

    @classmethod
    def with_timeout(cls, seconds: float) -> type[PatientProtocol]:
        """The protocol with a patience of so many seconds."""
        return type(cls.__name__, (cls,), {"headers_timeout_s": seconds})

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
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
        super().connection_lost(exc)

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


class Unread(Exception):
    """A client read nothing for longer than it may."""


class Patience(Closing):
    """Sends the parts of a body, of which none may wait too long; for one task.

    One timer goes round for all parts. A timeout for each would take as long as the sending.

    Parameters
    ----------
    send : callable
        Of ASGI.
    seconds : float
        For which a part may wait; it is given up after that, and before twice that.
    """

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._waits = self._waited = self._expired = False
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body; the last, where there is no more.

        Raises
        ------
        Unread
            The client doesn't read.
        """
        self._waits, self._waited = True, False
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except asyncio.CancelledError:
            if self._expired:
                raise Unread from None
            raise
        finally:
            self._waits = False

    def close(self) -> None:
        """Wait for nothing more."""
        self._timer.cancel()

    def _look(self) -> None:
        """Give up a part that waited the last time already."""
        if self._waits and self._waited and self._task is not None:
            self._expired = True
            self._task.cancel()
            return
        self._waited = self._waits
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)
