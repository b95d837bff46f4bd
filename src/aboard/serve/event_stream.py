"""Answers as they come: server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import Response

from aboard.serve.leaving import ClientGone, unless_gone
from aboard.serve.noted import noted
from aboard.serve.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from aboard.closing import Closing


@dataclass(frozen=True, slots=True)
class Named:
    """An event that has a name."""

    name: str
    data: BaseModel | str


@dataclass(frozen=True, slots=True)
class StreamForm:
    """How a stream ends.

    Attributes
    ----------
    last : str or None
        The data of one more event behind the last, where nothing failed.
    error : callable
        The event that tells a refusal.
    """

    last: str | None = "[DONE]"
    error: Callable[[Refusal], BaseModel | Named | str] = lambda refusal: refusal.body


_COMPLETIONS = StreamForm()


class EventStream(Response):
    """A response that sends each event as soon as it is there.

    An error that ends the answer is the last event. A client that goes away ends the answer; one
    that doesn't read has gone once its connection is given up.

    Parameters
    ----------
    events : async generator of BaseModel, str or Named
        As JSON, where they are texts.
    holds : Closing
        What is closed at the end, whatever it is.
    form : StreamForm, optional
        How it ends; by default as completions of the cloud API do.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[BaseModel | Named | str],
        *,
        holds: Closing,
        form: StreamForm | None = None,
    ) -> None:
        # nginx would hold events back until a buffer is full.
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._holds = holds
        self._form = form or _COMPLETIONS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        with self._holds:
            try:
                await unless_gone(receive, self._send_all(scope, send))
            except ClientGone:
                noted(scope).note_gone()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await send(_part(_written(event)))
            if self._form.last is not None:
                await send(_part(_written(self._form.last)))
        except Exception as error:
            refusal = error if isinstance(error, Refusal) else refusal_of(error)
            noted(scope).code = refusal.code
            await send(_part(_written(self._form.error(refusal))))
        await send(_part(b"", more=False))


# Characters at which some clients end a line, though events end theirs at none of them.
_ENDS = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}


def on_one_line(text: str) -> str:
    """JSON without white space between, with none of the characters at which clients end a line."""
    return text if text.isascii() else text.translate(_ENDS)


def _part(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _written(event: BaseModel | Named | str) -> bytes:
    if isinstance(event, Named):
        return f"event: {event.name}\n".encode() + _written(event.data)
    data = event if isinstance(event, str) else event.model_dump_json(exclude_unset=True)
    return f"data: {on_one_line(data)}\n\n".encode()
