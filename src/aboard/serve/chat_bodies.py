"""What `/v1/chat/completions` takes and gives, in the words of the cloud API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, model_validator

from aboard.serve.asker_body import AskerBody
from aboard.serve.body import WHOLE, Body, OnlyFalse, told_by
from aboard.serve.given import Finish, Given, Usage
from aboard.serve.sampling_body import SamplingBody
from aboard.serve.token_logprobs import TokenLogprob
from aboard.serve.tool_bodies import AnyTool, CalledName, Choice
from aboard.tool_calls.tool import MAX_TOOLS

Several = Field(min_length=1, max_length=MAX_TOOLS)


class TextPart(Body):
    """A piece of text of a message."""

    type: Literal["text"]
    text: str


class _Spoken(Body):
    content: str | Annotated[list[TextPart], Field(min_length=1)]

    unsupported: ClassVar[Mapping[str, str]] = {
        "name": "chat templates know no names of speakers",
    }

    @property
    def text(self) -> str:
        """All of its text; parts are lines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class SystemMessage(_Spoken):
    """Instructions."""

    role: Literal["system"]


class DeveloperMessage(_Spoken):
    """Instructions, under their newer name."""

    role: Literal["developer"]


class UserMessage(_Spoken):
    """What the user says."""

    role: Literal["user"]


class CalledFunction(Body):
    """What was called."""

    name: CalledName
    arguments: str = Field(description="A JSON object, as text.")


class MessageToolCall(Body):
    """A call of a tool."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(_Spoken):
    """What the model said, and the tools that it called."""

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)] = ""
    tool_calls: Annotated[list[MessageToolCall], Several] | None = None

    unsupported: ClassVar[Mapping[str, str]] = {
        **_Spoken.unsupported,
        "audio": "there is no sound",
        "function_call": "use tool_calls, which took its place",
        "refusal": "refusals are content here",
    }

    @model_validator(mode="after")
    def _says_something(self) -> AssistantMessage:
        if self.tool_calls is None and "content" not in self.model_fields_set:
            raise ValueError("content is missing, and so are tool_calls")
        return self


class ToolMessage(_Spoken):
    """What a tool returned."""

    role: Literal["tool"]
    tool_call_id: str = Field(description="Of a call in a message before.")
    name: str | None = Field(default=None, description="Beyond the cloud API: of the tool.")

    unsupported: ClassVar[Mapping[str, str]] = {}


Message = Annotated[
    Annotated[SystemMessage, Tag("=system")]
    | Annotated[DeveloperMessage, Tag("=developer")]
    | Annotated[UserMessage, Tag("=user")]
    | Annotated[AssistantMessage, Tag("=assistant")]
    | Annotated[ToolMessage, Tag("=tool")],
    told_by("role", "system", "developer", "user", "assistant", "tool"),
]


TemplateKwargs = Annotated[
    dict[str, Any],
    Field(
        max_length=64,
        description="Beyond the cloud API: further variables of the model's chat template, such as "
        "`enable_thinking`. One that the template doesn't know changes nothing.",
    ),
]


class ChatRequest(AskerBody, SamplingBody):
    """A conversation to be answered."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    max_tokens: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None, description="The older name of the same."
    )
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    tools: Annotated[list[AnyTool], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list, description="What the model may call, whatever the model."
    )
    tool_choice: Choice = Field(default="auto", description="Whether it calls.")
    parallel_tool_calls: bool = Field(
        default=True, description="Whether an answer may have several calls."
    )
    store: OnlyFalse = Field(default=False, description="Nothing is kept.")
    service_tier: Literal["auto", "default"] = "auto"
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] = Field(
        default_factory=list
    )
    chat_template_kwargs: TemplateKwargs = Field(default_factory=dict)

    unsupported: ClassVar[Mapping[str, str]] = {
        "audio": "there is no sound",
        "function_call": "use tool_choice, which took its place",
        "functions": "use tools, which took their place",
        "metadata": "nothing is kept, so there is nothing to attach it to",
        "moderation": "nothing is moderated",
        "prediction": "predicted outputs are not supported",
        "prompt_cache_options": "what is cached can't be set",
        "reasoning_effort": "how much a model reasons can't be set",
        "verbosity": "how much a model says can't be set",
        "web_search_options": "nothing here reaches a network",
    }

    @model_validator(mode="after")
    def _fits_together(self) -> ChatRequest:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens exclude each other")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed where logprobs is true")
        return self

    @property
    def most_tokens(self) -> int | None:
        """How long the answer may be."""
        return self.max_tokens or self.max_completion_tokens


class ChoiceLogprobs(Given):
    """All tokens of an answer, or of an event."""

    content: list[TokenLogprob]
    refusal: None


class GivenFunction(Given):
    """What is called; the arguments are JSON that the tool's schema accepts."""

    name: str
    arguments: str


class GivenCall(Given):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: GivenFunction


class AnswerMessage(Given):
    """The answer; `content` is null where there are calls only."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[GivenCall] = Field(default_factory=list)


class ChatChoice(Given):
    """One of `n` answers."""

    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: Finish


class ChatCompletion(Given):
    """The answers."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    service_tier: Literal["default"]
    system_fingerprint: str


class InputTokens(Given):
    """How many tokens the model would be given."""

    input_tokens: int


class FunctionDelta(Given):
    """The name of what is called, or more of the arguments."""

    name: str = ""
    arguments: str


class CallDelta(Given):
    """What an event adds to a call; the first one of a call has its id, type and name."""

    index: int
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionDelta


class Delta(Given):
    """What an event adds."""

    role: Literal["assistant"] = "assistant"
    content: str = ""
    refusal: None = None
    tool_calls: list[CallDelta] = Field(default_factory=list)


class ChunkChoice(Given):
    """What an event adds to one of `n` answers."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    finish_reason: Finish | None


class ChatChunk(Given):
    """An event of a stream; `usage` is there where it was asked for, and null but in the last."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    service_tier: Literal["default"]
    system_fingerprint: str
    usage: Usage | None = None
