"""What `/v1/messages` gives, in the words of Anthropic's API."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, RootModel

from aboard.serve.given import Given
from aboard.serve.messages.errors import MessagesError

StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class MessagesUsage(Given):
    """Numbers of tokens; those of the prompt that were cached count apart."""

    input_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int = Field(description="0: writing takes nothing.")
    output_tokens: int
    service_tier: Literal["standard"]


class AnswerText(Given):
    """Text of the model."""

    type: Literal["text"]
    text: str


class AnswerToolUse(Given):
    """A call of a tool."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


AnswerBlock: TypeAlias = AnswerText | AnswerToolUse


class MessageObject(Given):
    """The answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessagesUsage
    system_fingerprint: str


class TokenCount(Given):
    """How many tokens the model would be given."""

    input_tokens: int


class MessageStart(Given):
    """The answer begins; it has no content so far."""

    type: Literal["message_start"]
    message: MessageObject


class Ping(Given):
    """Nothing; the stream is there."""

    type: Literal["ping"]


class BlockStart(Given):
    """A block begins."""

    type: Literal["content_block_start"]
    index: int
    content_block: AnswerBlock


class BlockTextDelta(Given):
    """More text."""

    type: Literal["text_delta"]
    text: str


class InputJsonDelta(Given):
    """More of the input of a call, as JSON."""

    type: Literal["input_json_delta"]
    partial_json: str


class BlockDelta(Given):
    """More of a block."""

    type: Literal["content_block_delta"]
    index: int
    delta: BlockTextDelta | InputJsonDelta


class BlockStop(Given):
    """A block is whole, unless the answer is cut."""

    type: Literal["content_block_stop"]
    index: int


class Ending(Given):
    """Why the answer ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(Given):
    """The answer ends."""

    type: Literal["message_delta"]
    delta: Ending
    usage: MessagesUsage


class MessageStop(Given):
    """Nothing follows."""

    type: Literal["message_stop"]


AnyEvent: TypeAlias = (
    MessageStart
    | Ping
    | BlockStart
    | BlockDelta
    | BlockStop
    | MessageDelta
    | MessageStop
    | MessagesError
)


class MessagesEvent(RootModel[AnyEvent]):
    """An event of a stream."""
