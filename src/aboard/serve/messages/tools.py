"""Tools of `/v1/messages`: functions that the model may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from aboard.serve.body import Body, OnlyFalse, told_by
from aboard.serve.tool_bodies import Name, tool_of
from aboard.tool_calls import Tool, ToolChoice


class CacheControl(Body):
    """Where a beginning ends that may come again. All are cached as they come."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class MessagesTool(Body):
    """A function. Its input always validates: `strict` changes nothing."""

    type: Literal["custom"] = "custom"
    name: Name
    description: str | None = None
    input_schema: dict[str, Any] = Field(description="The JSON Schema of its input, an object.")
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = Field(
        default=None, description="Changes nothing: input is told as it comes."
    )
    defer_loading: OnlyFalse = Field(default=False, description="All tools are told at once.")

    unsupported: ClassVar[Mapping[str, str]] = {
        "allowed_callers": "only the model calls tools",
        "input_examples": "chat templates know no examples of calls",
    }


AnyTool = Annotated[
    Annotated[MessagesTool, Tag("=custom")], told_by("type", "custom", default="custom")
]


class AutoChoice(Body):
    """Text or calls, as the model likes."""

    type: Literal["auto"]
    disable_parallel_tool_use: bool = False


class AnyChoice(Body):
    """Calls."""

    type: Literal["any"]
    disable_parallel_tool_use: bool = False


class ToolByName(Body):
    """A call of one tool."""

    type: Literal["tool"]
    name: Name
    disable_parallel_tool_use: bool = False


class NoChoice(Body):
    """Text."""

    type: Literal["none"]
    disable_parallel_tool_use: bool = False


Choice = Annotated[
    Annotated[AutoChoice, Tag("=auto")]
    | Annotated[AnyChoice, Tag("=any")]
    | Annotated[ToolByName, Tag("=tool")]
    | Annotated[NoChoice, Tag("=none")],
    told_by("type", "auto", "any", "tool", "none"),
]


def tools_of(given: Sequence[MessagesTool]) -> list[Tool]:
    """What may be called.

    Raises
    ------
    Refusal
        A schema is of no object.
    """
    return [
        tool_of(each.name, each.description, each.input_schema, f"tools[{n}].input_schema")
        for n, each in enumerate(given)
    ]


def choice_of(given: Choice | None) -> ToolChoice:
    """The choice of a body."""
    match given:
        case AnyChoice():
            return ToolChoice("required")
        case ToolByName():
            return ToolChoice("required", (given.name,))
        case NoChoice():
            return ToolChoice("none")
        case _:
            return ToolChoice("auto")
