"""Events on the wire: one line each, whatever the text, and an end to clients that don't read."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from pydantic import BaseModel

from aboard.closing import Closing
from aboard.serve.event_stream import EventStream, Named, StreamForm
from aboard.serve.limits import Limits
from aboard.serve.noted import noted
from aboard.serve.patience import Patience, Unread
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


async def sent(
    events: AsyncGenerator, limits: Limits, send=None, form: StreamForm | None = None
) -> tuple[list, Held, str]:
    """What a stream sends, what it holds, and what is noted of it."""
    held, messages = Held(), []

    async def receive() -> dict:
        await asyncio.Event().wait()
        raise AssertionError

    async def keep(message: dict) -> None:
        messages.append(message)
        if send is not None:
            await send(message)

    scope: dict = {}
    await EventStream(events, limits, holds=held, form=form)(scope, receive, keep)
    return messages, held, noted(scope).code


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("ready", [True, False])
def test_an_event_is_one_line_by_every_client_s_count(text: str, ready: bool) -> None:
    async def events() -> AsyncGenerator:
        yield json.dumps({"text": text}, ensure_ascii=False) if ready else Text(text=text)

    messages, held, _ = asyncio.run(sent(events(), Limits()))

    assert dict(messages[0]["headers"])[b"content-type"] == b"text/event-stream; charset=utf-8"
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

    messages, held, code = asyncio.run(sent(events(), Limits()))

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
    whole, _, _ = asyncio.run(sent(events(False), Limits(), form=form))
    failed, _, code = asyncio.run(sent(events(True), Limits(), form=form))

    first = b'event: begun\ndata: {"text":"a\\u2028"}\n\n'
    assert [each["body"] for each in whole[1:]] == [first, b""]
    error = b'event: error\ndata: {"text":"no_room"}\n\n'
    assert [each["body"] for each in failed[1:]] == [first, error, b""]
    assert code == "no_room"


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def events() -> AsyncGenerator:
        while True:
            yield Text(text="a")

    async def stuck(message: dict) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    messages, held, code = asyncio.run(sent(events(), Limits(send_timeout_s=0.01), stuck))

    assert (len(messages), held.closed, code) == (2, True, "client_reads_nothing")


def test_patience_is_for_each_part_and_not_for_all() -> None:
    async def work() -> str:
        rounds = 0
        looked = asyncio.Event()

        async def send(message: dict) -> None:
            nonlocal rounds
            rounds += 1
            if rounds == 3:
                await asyncio.Event().wait()
            looked.clear()
            await looked.wait()  # as long as the timer takes to go round once

        with Patience(send, 0.01) as patience:
            look = patience._look

            def watched() -> None:
                look()
                patience._timer.cancel()
                patience._timer = asyncio.get_running_loop().call_later(0.01, watched)
                looked.set()

            patience._timer.cancel()
            watched()
            await patience.send(b"a")
            await patience.send(b"b")
            with pytest.raises(Unread):
                await patience.send(b"c")
        return f"{rounds} parts"

    assert asyncio.run(work()) == "3 parts"
