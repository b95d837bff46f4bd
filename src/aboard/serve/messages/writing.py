"""Answers of `/v1/messages` are written down, all at once or as they come."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from aboard.serve.event_stream import Named
from aboard.serve.messages.given import (
    AnswerBlock,
    AnswerText,
    AnswerToolUse,
    AnyEvent,
    BlockDelta,
    BlockStart,
    BlockStop,
    BlockTextDelta,
    Ending,
    InputJsonDelta,
    MessageDelta,
    MessageObject,
    MessageStart,
    MessageStop,
    MessagesUsage,
    Ping,
    StopReason,
)
from aboard.serve.news import ArgumentsDelta, CallBegun, End, TextDelta

if TYPE_CHECKING:
    from aboard.serve.answers import Answers
    from aboard.serve.given import Finish
    from aboard.serve.news import News, WholeCall
    from aboard.serve.served import ServedModel

_REASONS: dict[Finish, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}


class MessageWriter:
    """Writes an answer down.

    Parameters
    ----------
    served : ServedModel
        What answers.
    answers : Answers
        One answer.
    """

    def __init__(self, served: ServedModel, answers: Answers) -> None:
        self._answers = answers
        self._n_blocks = 0
        self._block: str | None = None  # the type of the one that is under way
        self._facts: dict[str, Any] = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": served.name,
            "system_fingerprint": served.fingerprint,
        }

    async def message(self) -> MessageObject:
        """The answer, once it is whole; a call that was cut is left out."""
        (answer,) = await self._answers.whole()
        content: list[AnswerBlock] = []
        if answer.text:
            content.append(AnswerText(type="text", text=answer.text))
        content += _whole_uses(answer.calls, cut=answer.finish_reason == "length")
        ending = _ending(answer.finish_reason, answer.stop)
        return MessageObject(
            **self._facts, content=content, usage=self._usage, **ending.model_dump()
        )

    async def events(self) -> AsyncGenerator[Named]:
        """The answer as it comes."""
        begun = MessageObject(
            **self._facts, content=[], stop_reason=None, stop_sequence=None, usage=self._usage
        )
        yield _named(MessageStart(type="message_start", message=begun))
        yield _named(Ping(type="ping"))
        async for news in self._answers.news():
            for event in self._told(news):
                yield _named(event)

    def _told(self, news: News) -> Iterator[AnyEvent]:
        match news:
            case TextDelta(_, text, _):
                if self._block != "text":
                    yield from self._begin(AnswerText(type="text", text=""))
                yield self._more(BlockTextDelta(type="text_delta", text=text))
            case CallBegun(_, _, call_id, name):
                block = AnswerToolUse(type="tool_use", id=call_id, name=name, input={})
                yield from self._begin(block)
            case ArgumentsDelta(_, _, text):
                yield self._more(InputJsonDelta(type="input_json_delta", partial_json=text))
            case End(_, reason, stop):
                yield from self._end_block()
                ending = _ending(reason, stop)
                yield MessageDelta(type="message_delta", delta=ending, usage=self._usage)
                yield MessageStop(type="message_stop")

    def _begin(self, block: AnswerBlock) -> Iterator[AnyEvent]:
        yield from self._end_block()
        self._block = block.type
        yield BlockStart(type="content_block_start", index=self._n_blocks, content_block=block)

    def _more(self, delta: BlockTextDelta | InputJsonDelta) -> BlockDelta:
        return BlockDelta(type="content_block_delta", index=self._n_blocks, delta=delta)

    def _end_block(self) -> Iterator[AnyEvent]:
        if self._block is not None:
            yield BlockStop(type="content_block_stop", index=self._n_blocks)
            self._block = None
            self._n_blocks += 1

    @property
    def _usage(self) -> MessagesUsage:
        usage = self._answers.usage
        cached = usage.prompt_tokens_details.cached_tokens
        return MessagesUsage(
            input_tokens=usage.prompt_tokens - cached,
            cache_read_input_tokens=cached,
            cache_creation_input_tokens=0,
            output_tokens=usage.completion_tokens,
            service_tier="standard",
        )


def _whole_uses(calls: list[WholeCall], *, cut: bool) -> Iterator[AnswerToolUse]:
    for place, call in enumerate(calls):
        try:
            given = json.loads(call.arguments)
        except ValueError:
            if cut and place == len(calls) - 1:
                return
            raise
        yield AnswerToolUse(type="tool_use", id=call.id, name=call.name, input=given)


def _ending(reason: Finish, stop: str | None) -> Ending:
    if stop is not None:
        return Ending(stop_reason="stop_sequence", stop_sequence=stop)
    return Ending(stop_reason=_REASONS[reason], stop_sequence=None)


def _named(event: AnyEvent) -> Named:
    return Named(event.type, event)
