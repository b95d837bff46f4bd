"""Answers as they come: server-sent events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import Response

from aboard.serve.leaving import ClientGone, unless_gone
from aboard.serve.noted import noted
from aboard.serve.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aboard.closing import Closing
    from aboard.serve.limits import Limits

DONE = b"data: [DONE]\n\n"
_log = logging.getLogger(__name__)


class EventStream(Response):
    """A response that sends each event as soon as it is there.

    An error that ends the answer is the last event. A client that goes away, or reads nothing for
    `Limits.send_timeout_s`, ends the answer.

    Parameters
    ----------
    events : async generator of BaseModel
    limits : Limits
    holds : Closing
        What is closed at the end, whatever it is.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[BaseModel], limits: Limits, *, holds: Closing
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._holds = holds
        self._send_timeout_s = limits.send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._holds:
            try:
                await unless_gone(receive, self._send_all(scope, send))
            except ClientGone:
                noted(scope).code = "client_gone"
            except TimeoutError:
                noted(scope).code = "client_reads_nothing"

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    data = event.model_dump_json(exclude_unset=True)
                    await self._send(send, f"data: {data}\n\n".encode())
            await self._send(send, DONE)
        except Refusal as refusal:
            await self._refuse(scope, send, refusal)
        except TimeoutError:
            raise
        except Exception as error:
            _log.exception("an answer failed")
            await self._refuse(scope, send, refusal_of(error))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _refuse(self, scope: Scope, send: Send, refusal: Refusal) -> None:
        noted(scope).code = refusal.code
        await self._send(send, f"data: {refusal.body.model_dump_json()}\n\n".encode())

    async def _send(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            await send({"type": "http.response.body", "body": data, "more_body": True})
