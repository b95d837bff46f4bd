"""Tools of `/v1/responses`: functions that the model may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from aboard.serve.body import Body, OnlyFalse
from aboard.serve.conversation import Tool, ToolChoice

_NO_ARGUMENTS: Mapping[str, Any] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class FunctionTool(Body):
    """A function. Its schema is always kept to: `strict` changes nothing."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: OnlyFalse = Field(default=False, description="All tools are told at once.")

    unsupported: ClassVar[Mapping[str, str]] = {
        "allowed_callers": "only the model calls functions",
        "async": "calls are answered in their order",
        "output_schema": "what functions return is not checked",
    }

    def tool(self, param: str) -> Tool:
        """What the model may call; the schema stands at `param`."""
        return Tool(
            name=self.name,
            description=self.description,
            parameters=_NO_ARGUMENTS if self.parameters is None else self.parameters,
            param=param,
        )

    @property
    def told(self) -> dict[str, Any]:
        """The same in the words of the response."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict,
        }


class NamedFunction(Body):
    """One of the tools."""

    type: Literal["function"]
    name: str


class AllowedTools(Body):
    """Some of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedFunction], Field(min_length=1)]


Choice = Literal["none", "auto", "required"] | NamedFunction | AllowedTools


def choice_of(asked: Choice) -> ToolChoice:
    """Whether the model calls tools."""
    match asked:
        case NamedFunction():
            return ToolChoice("required", (asked.name,))
        case AllowedTools():
            return ToolChoice(asked.mode, tuple(each.name for each in asked.tools))
        case mode:
            return ToolChoice(mode)


def told_choice(asked: Choice) -> str | dict[str, Any]:
    """The same in the words of the response."""
    return asked if isinstance(asked, str) else asked.model_dump()
