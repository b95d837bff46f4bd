"""The items of an answer, made of its news, and the events that tell of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from aboard.serve.news import ArgumentsDelta, CallBegun, End, TextDelta
from aboard.serve.responses.given import (
    AnyEvent,
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ItemEvent,
    OutputItem,
    PartEvent,
    TextDeltaEvent,
    TextDoneEvent,
)
from aboard.serve.responses.items import CallItem, MessageItem, OutputText, new_id
from aboard.serve.token_logprobs import TokenLogprob, logprob_of

if TYPE_CHECKING:
    from aboard.serve.news import News
    from aboard.serve.spoken import Said

Event = TypeVar("Event", bound=AnyEvent)


class Output:
    """What an answer says, item by item.

    Parameters
    ----------
    piece : callable
        The bytes of a token.

    Attributes
    ----------
    items : list of MessageItem or CallItem
        So far; the last may be in progress.
    """

    def __init__(self, piece: Callable[[int], bytes]) -> None:
        self.items: list[OutputItem] = []
        self._piece = piece
        self._n_events = 0

    def numbered(self, kind: type[Event], **facts: Any) -> Event:
        """The next event."""
        event = kind(sequence_number=self._n_events, **facts)
        self._n_events += 1
        return event

    def take(self, news: News) -> Iterator[AnyEvent]:
        """The events of what is new."""
        match news:
            case TextDelta(_, text, tokens):
                yield from self._more_text(text, tokens)
            case CallBegun(_, _, name, function):
                yield from self._end_last("completed")
                yield from self._begin_call(name, function)
            case ArgumentsDelta(_, _, text):
                item = self.items[-1]
                assert isinstance(item, CallItem)
                item.arguments += text
                yield self._in_item(
                    ArgumentsDeltaEvent, type="response.function_call_arguments.delta", delta=text
                )
            case End(_, reason, _):
                if not self.items:
                    yield from self._begin_message()
                yield from self._end_last("incomplete" if reason == "length" else "completed")

    def _more_text(self, text: str, tokens: list[Said]) -> Iterator[AnyEvent]:
        if not self.items or not isinstance(self.items[-1], MessageItem):
            yield from self._end_last("completed")
            yield from self._begin_message()
        logprobs = [logprob_of(said, self._piece) for said in tokens]
        part = self._part
        part.text += text
        part.logprobs += logprobs
        yield self._in_part(
            TextDeltaEvent, type="response.output_text.delta", delta=text, logprobs=logprobs
        )

    def _begin_message(self) -> Iterator[AnyEvent]:
        facts: dict[str, Any] = {"id": new_id("msg"), "type": "message", "role": "assistant"}
        item = MessageItem(**facts, status="in_progress", content=[])
        yield from self._begin(item)
        item.content.append(_text_part("", []))
        yield self._in_part(PartEvent, type="response.content_part.added", part=_text_part("", []))

    def _begin_call(self, call_id: str, name: str) -> Iterator[AnyEvent]:
        facts: dict[str, Any] = {"id": new_id("fc"), "type": "function_call", "call_id": call_id}
        yield from self._begin(CallItem(**facts, name=name, arguments="", status="in_progress"))

    def _begin(self, item: OutputItem) -> Iterator[AnyEvent]:
        self.items.append(item)
        yield self._of_item("response.output_item.added")

    def _end_last(self, status: str) -> Iterator[AnyEvent]:
        if not self.items or self.items[-1].status != "in_progress":
            return
        item = self.items[-1]
        if isinstance(item, MessageItem):
            part = self._part
            yield self._in_part(
                TextDoneEvent,
                type="response.output_text.done",
                text=part.text,
                logprobs=part.logprobs,
            )
            yield self._in_part(PartEvent, type="response.content_part.done", part=part)
        else:
            yield self._in_item(
                ArgumentsDoneEvent,
                type="response.function_call_arguments.done",
                name=item.name,
                arguments=item.arguments,
            )
        self.items[-1] = item.model_copy(update={"status": status})
        yield self._of_item("response.output_item.done")

    @property
    def _part(self) -> OutputText:
        """The text of the last message."""
        item = self.items[-1]
        assert isinstance(item, MessageItem)
        part = item.content[0]
        assert isinstance(part, OutputText)
        return part

    def _of_item(self, kind: str) -> AnyEvent:
        item = self.items[-1].model_copy(deep=True)  # as it is now
        return self.numbered(ItemEvent, type=kind, output_index=len(self.items) - 1, item=item)

    def _in_item(self, kind: type[Event], **facts: Any) -> Event:
        place = {"item_id": self.items[-1].id, "output_index": len(self.items) - 1}
        return self.numbered(kind, **place, **facts)

    def _in_part(self, kind: type[Event], **facts: Any) -> Event:
        return self._in_item(kind, content_index=0, **facts)


def _text_part(text: str, logprobs: list[TokenLogprob]) -> OutputText:
    return OutputText(type="output_text", text=text, annotations=[], logprobs=logprobs)
