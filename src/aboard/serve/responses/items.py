"""Items: what a conversation is made of, as it is told and as it is kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, Tag

from aboard.serve.body import told_by
from aboard.serve.given import Given
from aboard.serve.refusals import invalid
from aboard.serve.token_logprobs import TokenLogprob
from aboard.serve.tool_bodies import object_in

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class InputText(Given):
    """Text that the model is given."""

    type: Literal["input_text"]
    text: str


class OutputText(Given):
    """Text of the model."""

    type: Literal["output_text"]
    text: str
    annotations: list[str] = Field(description="None.", max_length=0)
    logprobs: list[TokenLogprob]


Part: TypeAlias = Annotated[
    Annotated[InputText, Tag("=input_text")] | Annotated[OutputText, Tag("=output_text")],
    told_by("type", "input_text", "output_text"),
]


class MessageItem(Given):
    """What somebody says."""

    id: str
    type: Literal["message"]
    role: Literal["system", "developer", "user", "assistant"]
    status: Status
    content: list[Part]

    @property
    def text(self) -> str:
        """All of its text; parts are lines."""
        return "\n".join(part.text for part in self.content)


class CallItem(Given):
    """A call of a function; its arguments are JSON, cut where the answer was."""

    id: str
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    status: Status


class CallOutputItem(Given):
    """What a function returned."""

    id: str
    type: Literal["function_call_output"]
    call_id: str
    output: str
    status: Status


Item: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("=message")]
    | Annotated[CallItem, Tag("=function_call")]
    | Annotated[CallOutputItem, Tag("=function_call_output")],
    told_by("type", "message", "function_call", "function_call_output"),
]


def new_id(kind: str) -> str:
    """An id that nobody can guess, such as "msg_..."."""
    return f"{kind}_{secrets.token_hex(24)}"


def messages_of(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Items as messages that chat templates take; calls belong to the message before them.

    Raises
    ------
    Refusal
        A function returned something that nobody had called, a call was cut, or two items have one
        id.
    """
    items = list(items)
    _require_distinct(items)
    names: dict[str, str] = {}
    messages: list[dict[str, Any]] = []
    for item in items:
        match item:
            case MessageItem():
                role = "system" if item.role == "developer" else item.role
                messages.append({"role": role, "content": item.text})
            case CallItem():
                names[item.call_id] = item.name
                if not messages or messages[-1]["role"] != "assistant":
                    messages.append({"role": "assistant", "content": ""})
                messages[-1].setdefault("tool_calls", []).append(_call(item))
            case CallOutputItem():
                messages.append(_result(item, names))
    return messages


def _require_distinct(items: Iterable[Item]) -> None:
    ids = set()
    for item in items:
        if item.id in ids:
            raise invalid(f"two items of the conversation have the id {item.id!r}", "input")
        ids.add(item.id)


def _call(item: CallItem) -> dict[str, Any]:
    if item.status == "incomplete":
        raise invalid(f"the function_call {item.call_id!r} was cut: nothing follows on it", "input")
    function = {"name": item.name, "arguments": object_in(item.arguments)}
    return {"id": item.call_id, "type": "function", "function": function}


def _result(item: CallOutputItem, names: dict[str, str]) -> dict[str, Any]:
    name = names.get(item.call_id)
    if name is None:
        raise invalid(f"there is no function_call {item.call_id!r} before its output", "input")
    told = {"tool_call_id": item.call_id, "name": name, "content": item.output}
    return {"role": "tool", **told}
