"""What `/v1/responses` gives, in the words of the cloud API."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, RootModel

from aboard.serve.given import Given
from aboard.serve.responses.items import CallItem, Item, MessageItem, OutputText
from aboard.serve.token_logprobs import TokenLogprob

OutputItem: TypeAlias = MessageItem | CallItem


class InputDetails(Given):
    """Of the tokens of the prompt."""

    cached_tokens: int
    cache_write_tokens: int = Field(description="0: writing takes nothing.")


class OutputDetails(Given):
    """Of the tokens of the answer."""

    reasoning_tokens: int = Field(description="0: they aren't told apart.")


class ResponseUsage(Given):
    """Numbers of tokens."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFailure(Given):
    """Why an answer ended that isn't one."""

    code: str
    message: str


class Incomplete(Given):
    """Why an answer is none that the model ended."""

    reason: Literal["max_output_tokens"]


class ResponseObject(Given):
    """The answer, and how it was asked for."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseFailure | None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: None
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    system_fingerprint: str
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    user: str | None
    metadata: dict[str, str]


class ResponseInputTokens(Given):
    """How many tokens the model would be given."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class DeletedResponse(Given):
    """It is kept no more."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ItemList(Given):
    """Items of a conversation, some at a time."""

    object: Literal["list"]
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


class _Event(Given):
    sequence_number: int


class LifeEvent(_Event):
    """How the answer is now, as a whole."""

    type: Literal[
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: ResponseObject


class ItemEvent(_Event):
    """An item begins, or is whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class _InItem(_Event):
    item_id: str
    output_index: int


class PartEvent(_InItem):
    """The text of a message begins, or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: Literal[0]
    part: OutputText


class TextDeltaEvent(_InItem):
    """More text."""

    type: Literal["response.output_text.delta"]
    content_index: Literal[0]
    delta: str
    logprobs: list[TokenLogprob]


class TextDoneEvent(_InItem):
    """All of the text."""

    type: Literal["response.output_text.done"]
    content_index: Literal[0]
    text: str
    logprobs: list[TokenLogprob]


class ArgumentsDeltaEvent(_InItem):
    """More of the arguments of a call."""

    type: Literal["response.function_call_arguments.delta"]
    delta: str


class ArgumentsDoneEvent(_InItem):
    """All of the arguments."""

    type: Literal["response.function_call_arguments.done"]
    name: str
    arguments: str


class ErrorEvent(_Event):
    """The answer can't be completed."""

    type: Literal["error"]
    code: str
    message: str
    param: str | None


AnyEvent: TypeAlias = (
    LifeEvent
    | ItemEvent
    | PartEvent
    | TextDeltaEvent
    | TextDoneEvent
    | ArgumentsDeltaEvent
    | ArgumentsDoneEvent
    | ErrorEvent
)


class ResponseEvent(RootModel[AnyEvent]):
    """An event of a stream."""
