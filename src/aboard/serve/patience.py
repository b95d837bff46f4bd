"""How long a connection may take to say what it wants."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


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
