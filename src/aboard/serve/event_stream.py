"""Answers as they come: server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import Response

from aboard.serve.endpoint import ClientGone, unless_gone
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aboard.serve.limits import Limits

DONE = b"data: [DONE]\n\n"


class EventStream(Response):
    """A response that sends each event as soon as it is there.

    An error that ends the answer is the last event. A client that goes away, or reads nothing for
    `Limits.send_timeout_s`, ends the answer.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[BaseModel], limits: Limits, headers: dict[str, str]
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", **headers})
        del self.headers["content-length"]
        self._events = events
        self._send_timeout_s = limits.send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await unless_gone(receive, self._send_all(send))
        except (ClientGone, TimeoutError):
            return

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with aclosing(self._events) as events:
            try:
                async for event in events:
                    data = event.model_dump_json(exclude_unset=True)
                    await self._send(send, f"data: {data}\n\n".encode())
                await self._send(send, DONE)
            except Refusal as refusal:
                await self._send(send, f"data: {refusal.body.model_dump_json()}\n\n".encode())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            await send({"type": "http.response.body", "body": data, "more_body": True})
