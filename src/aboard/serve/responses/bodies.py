"""What `/v1/responses` takes, in the words of the cloud API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, Tag, field_validator, model_validator

from aboard.serve.asker_body import AskerBody
from aboard.serve.body import WHOLE, Body, OnlyFalse, few, told_by
from aboard.serve.drawing_body import DrawingBody
from aboard.serve.responses import items
from aboard.serve.responses.text_format import TextConfig
from aboard.serve.responses.tools import AnyTool, Choice
from aboard.serve.tool_bodies import CalledName, object_in

_Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_Key = Annotated[str, StringConstraints(max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=512)]
Metadata = Annotated[dict[_Key, _Value], Field(max_length=16), few(16, "pairs")]
LOGPROBS = "message.output_text.logprobs"


class InputTextPart(Body):
    """Text."""

    type: Literal["input_text"]
    text: str

    unsupported: ClassVar[Mapping[str, str]] = {
        "prompt_cache_breakpoint": "what is cached can't be set",
    }


class OutputTextPart(Body):
    """Text that the model said; what was told about it is not read."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any] = Field(default_factory=list)
    logprobs: list[Any] = Field(default_factory=list)


MessagePart = Annotated[
    Annotated[InputTextPart, Tag("=input_text")] | Annotated[OutputTextPart, Tag("=output_text")],
    told_by("type", "input_text", "output_text"),
]


class InputMessage(Body):
    """What somebody said."""

    type: Literal["message"] = "message"
    id: _Id | None = None
    role: Literal["system", "developer", "user", "assistant"]
    status: items.Status | None = None
    content: str | Annotated[list[MessagePart], Field(min_length=1)]

    unsupported: ClassVar[Mapping[str, str]] = {
        "phase": "messages of the model have no phases",
    }

    @property
    def item(self) -> items.MessageItem:
        """The item that is kept."""
        content = self.content
        texts = [content] if isinstance(content, str) else [part.text for part in content]
        return items.MessageItem(
            id=self.id or items.new_id("msg"),
            type="message",
            role=self.role,
            status="completed",
            content=[self._part(text) for text in texts],
        )

    def _part(self, text: str) -> items.InputText | items.OutputText:
        if self.role == "assistant":
            return items.OutputText(type="output_text", text=text, annotations=[], logprobs=[])
        return items.InputText(type="input_text", text=text)


_NO_CALLER = {
    "async": "calls are answered in their order",
    "caller": "only the model calls functions",
    "namespace": "functions have no namespaces",
}


class InputCall(Body):
    """A function that the model called."""

    type: Literal["function_call"]
    id: _Id | None = None
    call_id: _Id
    name: CalledName
    arguments: str
    status: items.Status | None = None

    unsupported: ClassVar[Mapping[str, str]] = _NO_CALLER

    @field_validator("arguments")
    @classmethod
    def _are_an_object(cls, given: str) -> str:
        object_in(given)
        return given

    @property
    def item(self) -> items.CallItem:
        """The item that is kept."""
        return items.CallItem(
            id=self.id or items.new_id("fc"),
            type="function_call",
            call_id=self.call_id,
            name=self.name,
            arguments=self.arguments,
            status="incomplete" if self.status == "incomplete" else "completed",
        )


class InputCallOutput(Body):
    """What the function returned."""

    type: Literal["function_call_output"]
    id: _Id | None = None
    call_id: _Id
    output: str | list[InputTextPart]
    status: items.Status | None = None

    unsupported: ClassVar[Mapping[str, str]] = _NO_CALLER

    @property
    def item(self) -> items.CallOutputItem:
        """The item that is kept."""
        output = self.output
        text = output if isinstance(output, str) else "\n".join(part.text for part in output)
        return items.CallOutputItem(
            id=self.id or items.new_id("fco"),
            type="function_call_output",
            call_id=self.call_id,
            output=text,
            status="completed",
        )


InputItem = Annotated[
    Annotated[InputMessage, Tag("=message")]
    | Annotated[InputCall, Tag("=function_call")]
    | Annotated[InputCallOutput, Tag("=function_call_output")],
    told_by("type", "message", "function_call", "function_call_output", default="message"),
]


class ResponseStreamOptions(Body):
    """What a stream holds beside the answer."""

    include_obfuscation: OnlyFalse = Field(default=False, description="Nothing is padded.")


class ResponseRequest(AskerBody, DrawingBody):
    """A conversation, or what follows on one that is kept."""

    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = Field(
        default=None, description="Of the system; they don't pass on to what follows."
    )
    previous_response_id: str | None = Field(
        default=None, description="A response that is kept: this one follows on it."
    )
    store: bool = Field(
        default=True, description="Keep the response in memory, for whoever has the same key."
    )
    max_output_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    text: TextConfig = Field(default_factory=TextConfig)
    tools: list[AnyTool] = Field(default_factory=list)
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool = True
    include: list[Literal["message.output_text.logprobs"]] = Field(default_factory=list)
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] = 0
    metadata: Metadata = Field(default_factory=dict)
    stream: bool = False
    stream_options: ResponseStreamOptions | None = None
    background: OnlyFalse = False
    truncation: Literal["disabled"] = "disabled"
    service_tier: Literal["auto", "default"] = "auto"

    unsupported: ClassVar[Mapping[str, str]] = {
        "access_programs": "there are none",
        "background_options": "answers are not made in the background",
        "context_management": "nothing is taken out of a conversation",
        "conversation": "conversations follow on previous_response_id",
        "image": "there are no images",
        "max_tool_calls": "no tools are called by the server",
        "moderation": "nothing is moderated",
        "prompt": "no prompts are kept",
        "prompt_cache_options": "what is cached can't be set",
        "reasoning": "how much a model reasons can't be set",
    }

    @model_validator(mode="after")
    def _stream_options_need_a_stream(self) -> ResponseRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed where stream is true")
        return self

    @property
    def items(self) -> list[items.Item]:
        """What it adds to the conversation."""
        if isinstance(self.input, str):
            return [InputMessage(role="user", content=self.input).item]
        return [each.item for each in self.input]

    @property
    def shown_logprobs(self) -> int | None:
        """How many alternatives of each token are told; None where its own probability isn't."""
        return self.top_logprobs if self.top_logprobs or LOGPROBS in self.include else None


class ResponseQuery(Body):
    """How a kept response is asked for."""

    stream: OnlyFalse = Field(default=False, description="A kept response comes all at once.")

    unsupported: ClassVar[Mapping[str, str]] = {
        "include": "all that is kept is shown",
        "include[]": "all that is kept is shown",
        "include_obfuscation": "a kept response comes all at once",
        "starting_after": "a kept response comes all at once",
    }


class ItemsQuery(Body):
    """Which items of a conversation are asked for."""

    after: str | None = Field(default=None, description="The id of the last item there was.")
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"

    unsupported: ClassVar[Mapping[str, str]] = {
        "include": "all that is kept is shown",
        "include[]": "all that is kept is shown",
    }
