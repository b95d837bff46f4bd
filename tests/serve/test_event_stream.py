"""Events on the wire: one line each, whatever the text."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from pydantic import BaseModel

from aboard.closing import Closing
from aboard.serve.event_stream import EventStream, Named, StreamForm
from aboard.serve.noted import noted
from aboard.serve.refusals import Refusal

ODD = [
    "\n",
    "\r\n",
    "\x85",
    "\u2028",
    "\u2029",
    "\x0b\x0c\x1c",
    '"',
    "\\",
    "\x00",
    "\u00e9\U0001f642",
]


class Text(BaseModel):
    text: str


class Held(Closing):
    closed = False

    def close(self) -> None:
        self.closed = True


async def sent(events: AsyncGenerator, form: StreamForm | None = None) -> tuple[list, Held, str]:
    """What a stream sends, what it holds, and what is noted of it."""
    held, messages = Held(), []

    async def receive() -> dict:
        await asyncio.Event().wait()
        raise AssertionError

    async def keep(message: dict) -> None:
        messages.append(message)

    scope: dict = {}
    await EventStream(events, holds=held, form=form)(scope, receive, keep)
    return messages, held, noted(scope).code


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("ready", [True, False])
def test_an_event_is_one_line_by_every_client_s_count(text: str, ready: bool) -> None:
    async def events() -> AsyncGenerator:
        yield json.dumps({"text": text}, ensure_ascii=False) if ready else Text(text=text)

    messages, held, _ = asyncio.run(sent(events()))

    headers = dict(messages[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-accel-buffering"] == b"no"
    lines = messages[1]["body"].decode().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0].removeprefix("data: ")) == {"text": text}
    assert [each["body"] for each in messages[2:]] == [b"data: [DONE]\n\n", b""]
    assert messages[-1]["more_body"] is False
    assert held.closed


def test_a_defect_within_a_stream_is_its_last_event() -> None:
    async def events() -> AsyncGenerator:
        yield Text(text="a")
        raise ValueError("a secret")

    messages, held, code = asyncio.run(sent(events()))

    last = json.loads(messages[-2]["body"].decode().removeprefix("data: "))
    assert last["error"]["code"] == code == "internal_error"
    assert "secret" not in str(messages)
    assert held.closed


def test_events_may_have_names_and_streams_other_ends() -> None:
    async def events(fails: bool) -> AsyncGenerator:
        yield Named("begun", Text(text="a\u2028"))
        if fails:
            raise Refusal(503, "full", code="no_room")

    form = StreamForm(last=None, error=lambda refusal: Named("error", Text(text=refusal.code)))
    whole, _, _ = asyncio.run(sent(events(False), form=form))
    failed, _, code = asyncio.run(sent(events(True), form=form))

    first = b'event: begun\ndata: {"text":"a\\u2028"}\n\n'
    assert [each["body"] for each in whole[1:]] == [first, b""]
    error = b'event: error\ndata: {"text":"no_room"}\n\n'
    assert [each["body"] for each in failed[1:]] == [first, error, b""]
    assert code == "no_room"
