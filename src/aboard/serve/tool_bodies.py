"""`tools` and `tool_choice`: what may be called, and what must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, Tag

from aboard.serve.body import Body, told_by
from aboard.serve.refusals import blamed
from aboard.tool_calls import Tool, ToolChoice, object_of
from aboard.tool_calls.tool import MAX_TOOLS, NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]

CalledName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""Of a call in the past, whose function may be called otherwise than here."""


class FunctionDefinition(Body):
    """A function. Its arguments always validate: `strict` changes nothing."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = Field(
        default=None, description="The JSON Schema of its arguments, an object; by default none."
    )
    strict: bool | None = None


class FunctionTool(Body):
    """A function that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


AnyTool = Annotated[Annotated[FunctionTool, Tag("=function")], told_by("type", "function")]


class FunctionName(Body):
    """Which function."""

    name: Name


class NamedChoice(Body):
    """The one function that is to be called."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(Body):
    """Whether to call, and the functions of `tools` that may be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedChoice], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedChoice(Body):
    """Some of `tools` only."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


_told = told_by("type", "function", "allowed_tools")


def _kind(given: Any) -> Any:
    return "=word" if isinstance(given, str) else _told.discriminator(given)  # type: ignore[operator]


CHOSEN = replace(_told, discriminator=_kind)
"""Tells which kind of `tool_choice` one is: a word, or an object by its type."""
Word = Annotated[Literal["auto", "none", "required"], Tag("=word")]
Choice = Annotated[
    Word
    | Annotated[NamedChoice, Tag("=function")]
    | Annotated[AllowedChoice, Tag("=allowed_tools")],
    CHOSEN,
]


def tool_of(
    name: str, description: str | None, schema: Mapping[str, Any] | None, param: str
) -> Tool:
    """A tool whose arguments have the schema that stands at `param`; by default it has none.

    Raises
    ------
    Refusal
        The schema is of no object.
    """
    given = {} if schema is None else {"parameters": schema}
    with blamed(param):
        return Tool(name=name, description=description, param=param, **given)


def object_in(arguments: str) -> dict[str, Any]:
    """The arguments of a call that are told as JSON text.

    Raises
    ------
    ValueError
        They are no object.
    """
    told = object_of(arguments)
    if told is None:
        raise ValueError("expected a JSON object, as text")
    return told


def choice_of(given: Choice) -> ToolChoice:
    """The choice of a body."""
    match given:
        case NamedChoice():
            return ToolChoice("required", (given.function.name,))
        case AllowedChoice(allowed_tools=allowed):
            return ToolChoice(allowed.mode, tuple(each.function.name for each in allowed.tools))
        case _:
            return ToolChoice(given)
