"""Tools of `/v1/responses`: functions that the model may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from aboard.serve.body import Body, OnlyFalse, told_by
from aboard.serve.tool_bodies import CHOSEN, Name, Word, tool_of
from aboard.tool_calls import Tool, ToolChoice
from aboard.tool_calls.tool import MAX_TOOLS


class ResponseFunction(Body):
    """A function. Its arguments always validate: `strict` changes nothing."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = Field(
        default=None, description="The JSON Schema of its arguments, an object; by default none."
    )
    strict: bool | None = None
    defer_loading: OnlyFalse = Field(default=False, description="All tools are told at once.")

    unsupported: ClassVar[Mapping[str, str]] = {
        "allowed_callers": "only the model calls functions",
        "async": "calls are answered in their order",
        "output_schema": "what functions return is not checked",
    }

    @property
    def told(self) -> dict[str, Any]:
        """The same in the words of the response."""
        names = ("type", "name", "description", "parameters", "strict")
        return {name: getattr(self, name) for name in names}


AnyTool = Annotated[Annotated[ResponseFunction, Tag("=function")], told_by("type", "function")]


class FunctionChoice(Body):
    """One of the functions."""

    type: Literal["function"]
    name: Name


class AllowedFunctions(Body):
    """Whether to call, and the functions of `tools` that may be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], Field(min_length=1, max_length=MAX_TOOLS)]


Choice = Annotated[
    Word
    | Annotated[FunctionChoice, Tag("=function")]
    | Annotated[AllowedFunctions, Tag("=allowed_tools")],
    CHOSEN,
]


def tools_of(given: Sequence[ResponseFunction]) -> list[Tool]:
    """What may be called.

    Raises
    ------
    Refusal
        A schema is of no object.
    """
    return [
        tool_of(each.name, each.description, each.parameters, f"tools[{n}].parameters")
        for n, each in enumerate(given)
    ]


def choice_of(given: Choice) -> ToolChoice:
    """The choice of a body."""
    match given:
        case FunctionChoice():
            return ToolChoice("required", (given.name,))
        case AllowedFunctions():
            return ToolChoice(given.mode, tuple(each.name for each in given.tools))
        case _:
            return ToolChoice(given)


def told_choice(given: Choice) -> str | dict[str, Any]:
    """The same in the words of the response."""
    return given if isinstance(given, str) else given.model_dump()
