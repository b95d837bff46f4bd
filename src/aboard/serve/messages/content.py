"""Messages of `/v1/messages`: their blocks, and what chat templates take for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag

from aboard.serve.body import Body, told_by
from aboard.serve.messages.tools import CacheControl
from aboard.serve.refusals import invalid
from aboard.serve.tool_bodies import Name


class _Block(Body):
    cache_control: CacheControl | None = None


class TextBlock(_Block):
    """Text."""

    type: Literal["text"]
    text: str

    unsupported: ClassVar[Mapping[str, str]] = {"citations": "there are no citations"}


class ToolUseBlock(_Block):
    """A tool that the model called."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1, max_length=256)]
    name: Name
    input: dict[str, Any]

    unsupported: ClassVar[Mapping[str, str]] = {
        "caller": "only the model calls tools",
        "toolset_name": "there are no sets of tools",
    }


ResultBlock = Annotated[Annotated[TextBlock, Tag("=text")], told_by("type", "text")]


class ToolResultBlock(_Block):
    """What the tool returned; an error is told to the model as `Error: ` and its text."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[ResultBlock] = ""
    is_error: bool = False

    unsupported: ClassVar[Mapping[str, str]] = {"toolset_name": "there are no sets of tools"}

    @property
    def text(self) -> str:
        """What the model is told."""
        text = text_of(self.content)
        return f"Error: {text}" if self.is_error else text


UserBlock = Annotated[
    Annotated[TextBlock, Tag("=text")] | Annotated[ToolResultBlock, Tag("=tool_result")],
    told_by("type", "text", "tool_result"),
]
ModelBlock = Annotated[
    Annotated[TextBlock, Tag("=text")] | Annotated[ToolUseBlock, Tag("=tool_use")],
    told_by("type", "text", "tool_use"),
]
SystemBlock = Annotated[Annotated[TextBlock, Tag("=text")], told_by("type", "text")]


class UserTurn(Body):
    """What the user says, and what tools returned."""

    role: Literal["user"]
    content: str | Annotated[list[UserBlock], Field(min_length=1)]


class ModelTurn(Body):
    """What the model said, and the tools that it called."""

    role: Literal["assistant"]
    content: str | list[ModelBlock]


class SystemTurn(Body):
    """Instructions amid the conversation."""

    role: Literal["system"]
    content: str | Annotated[list[SystemBlock], Field(min_length=1)]


Turn = Annotated[
    Annotated[UserTurn, Tag("=user")]
    | Annotated[ModelTurn, Tag("=assistant")]
    | Annotated[SystemTurn, Tag("=system")],
    told_by("role", "user", "assistant", "system"),
]


def text_of(content: str | Sequence[object]) -> str:
    """All text of a content; blocks are lines."""
    if isinstance(content, str):
        return content
    return "\n".join(block.text for block in content if isinstance(block, TextBlock))


def messages_of(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns as messages that chat templates take.

    Raises
    ------
    Refusal
        A result is of no call, or stands behind text; text stands behind a use of a tool; or the
        last turn is the model's.
    """
    messages: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for place, turn in enumerate(turns):
        match turn:
            case UserTurn():
                messages += _of_user(turn, names, f"messages[{place}].content")
            case ModelTurn():
                messages.append(_of_model(turn, names, f"messages[{place}].content"))
            case SystemTurn():
                messages.append({"role": "system", "content": text_of(turn.content)})
    if isinstance(turns[-1], ModelTurn):
        raise invalid(
            "the last message is the model's, and answers that are begun can't be continued",
            f"messages[{len(turns) - 1}].role",
        )
    return messages


def _of_model(turn: ModelTurn, names: dict[str, str], param: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text_of(turn.content)}
    uses: list[ToolUseBlock] = []
    for place, block in enumerate(turn.content):
        if isinstance(block, ToolUseBlock):
            uses.append(block)
        elif uses:
            raise invalid("text comes before the tools that are used", f"{param}[{place}]")
    names |= {use.id: use.name for use in uses}
    if uses:
        message["tool_calls"] = [
            {
                "id": use.id,
                "type": "function",
                "function": {"name": use.name, "arguments": use.input},
            }
            for use in uses
        ]
    return message


def _of_user(turn: UserTurn, names: Mapping[str, str], param: str) -> Iterator[dict[str, Any]]:
    said = isinstance(turn.content, str)
    for place, block in enumerate(turn.content):
        if not isinstance(block, ToolResultBlock):
            said = True
            continue
        if said:
            raise invalid("what tools returned comes before text", f"{param}[{place}]")
        name = names.get(block.tool_use_id)
        if name is None:
            raise invalid("no tool_use before it has this id", f"{param}[{place}].tool_use_id")
        told = {"tool_call_id": block.tool_use_id, "name": name, "content": block.text}
        yield {"role": "tool", **told}
    if said:
        yield {"role": "user", "content": text_of(turn.content)}
