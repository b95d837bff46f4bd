"""What `/v1/messages` takes, in the words of Anthropic's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aboard.serve.body import WHOLE, Body
from aboard.serve.drawing_body import DrawingBody, ModelName
from aboard.serve.messages.content import SystemBlock, Turn, messages_of, text_of
from aboard.serve.messages.tools import AnyTool, CacheControl, Choice, ToolByName
from aboard.serve.response_format import Form, schema_form
from aboard.serve.sampling_body import Stop


class NoThinking(Body):
    """No thinking."""

    type: Literal["disabled"]


class OutputFormat(Body):
    """JSON that the schema accepts."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    """What the text of the answer is held to."""

    format: OutputFormat | None = None

    unsupported: ClassVar[Mapping[str, str]] = {
        "effort": "how much a model thinks can't be set",
        "task_budget": "how much a model thinks can't be set",
    }


class Metadata(Body):
    """Of the request."""

    user_id: str | None = Field(
        default=None,
        max_length=512,
        description="Who asks: the turns of those who wait are shared out between users.",
    )


class CountRequest(Body):
    """A conversation whose tokens are counted."""

    model: ModelName = None
    messages: Annotated[list[Turn], Field(min_length=1)]
    system: str | Annotated[list[SystemBlock], Field(min_length=1)] | None = None
    tools: list[AnyTool] = Field(default_factory=list)
    tool_choice: Choice | None = None
    thinking: NoThinking | None = None
    output_config: OutputConfig = Field(default_factory=OutputConfig)
    cache_control: CacheControl | None = None

    unsupported: ClassVar[Mapping[str, str]] = {
        "container": "nothing is run by the server",
        "context_management": "nothing is taken out of a conversation",
        "diagnostics": "there are none",
        "inference_geo": "it is where the server is",
        "mcp_servers": "nothing here reaches a network",
        "speed": "how fast a model answers can't be set",
        "user_profile_id": "there are no profiles",
        "workspace_id": "there are no workspaces",
    }

    def conversation(self) -> list[dict[str, Any]]:
        """The messages that chat templates take.

        Raises
        ------
        Refusal
            As for `messages_of`.
        """
        messages = messages_of(self.messages)
        if self.system is None:
            return messages
        return [{"role": "system", "content": text_of(self.system)}, *messages]

    @property
    def parallel(self) -> bool:
        """Whether there may be several calls."""
        choice = self.tool_choice
        one = choice is not None and choice.disable_parallel_tool_use
        return not one and not isinstance(choice, ToolByName)

    @property
    def form(self) -> Form | None:
        """What the text of the answer is held to."""
        asked = self.output_config.format
        return None if asked is None else schema_form(asked.schema_, "output_config.format.schema")


class MessagesRequest(CountRequest, DrawingBody):
    """A conversation to be answered."""

    max_tokens: Annotated[int, Field(ge=1), WHOLE]
    stop_sequences: Annotated[list[Stop], Field(max_length=64)] = Field(default_factory=list)
    temperature: float = Field(default=1.0, ge=0, le=1)
    stream: bool = False
    metadata: Metadata = Field(default_factory=Metadata)
    service_tier: Literal["auto", "standard_only"] = "auto"
