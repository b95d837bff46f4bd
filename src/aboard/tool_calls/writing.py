"""Conversations with tools, in the form in which a model's chat template takes them."""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.tool_calls.form import CallForm
    from aboard.tool_calls.tool import Tool

_SHORT = re.compile(r"[a-zA-Z0-9]{9}")
_LETTERS = string.ascii_letters + string.digits


def written(
    form: CallForm,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Tool],
    *,
    takes_system: bool,
) -> list[dict[str, Any]]:
    """`messages` as the template of a model of this form takes them.

    Raises
    ------
    UsageError
        A call is none, or its arguments are no object.
    """
    names: dict[str, str] = {}
    told: list[dict[str, Any]] = []
    for number, message in enumerate(messages, start=1):
        calls = [_call(each, number) for each in _calls_of(message)]
        names |= {call["id"]: call["function"]["name"] for call in calls}
        made = _made(form, message, calls, names)
        if told and told[-1]["role"] == made["role"] == "user" and not form.writes_results:
            told[-1]["content"] = f"{told[-1]['content']}\n{made['content']}"
        else:
            told.append(made)
    if form.instructions and tools:
        _instruct(told, form, tools, "system" if takes_system else "user")
    return told


def object_of(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call, told as JSON text; None where that is no object of JSON."""
    try:
        told = json.loads(arguments or "{}")
        json.dumps(told, allow_nan=False)  # NaN, and numbers beyond all floats, are no JSON
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _calls_of(message: Mapping[str, Any]) -> Sequence[Any]:
    calls = message.get("tool_calls") or ()
    if isinstance(calls, str | Mapping) or not isinstance(calls, Sequence):
        raise UsageError(f"tool_calls are {calls!r:.80}, expected a list")
    return calls


def _call(given: Any, number: int) -> dict[str, Any]:
    """A call of message `number`, its arguments an object."""
    function = given.get("function") if isinstance(given, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError(f"message {number}: a call is {given!r:.80}, expected one of a function")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        try:
            arguments = json.dumps(arguments)
        except (TypeError, ValueError, RecursionError):
            arguments = "null"
    arguments = object_of(arguments)
    if arguments is None:
        raise UsageError(f"message {number}: the arguments of a call are no JSON object")
    name = function["name"]
    return {
        "id": str(given.get("id", "")),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _made(
    form: CallForm,
    message: Mapping[str, Any],
    calls: Sequence[dict[str, Any]],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """One message."""
    made = {key: value for key, value in message.items() if key != "tool_calls"}
    if made.get("content") is None:
        made["content"] = ""
    if calls and form.writes_calls:
        made["tool_calls"] = [_in_form(form, call) for call in calls]
    elif calls:
        text = form.written([call["function"] for call in calls])
        made["content"] = f"{made['content']}\n{text}" if made["content"] else text
    if made["role"] != "tool":
        return made
    told = str(made.get("tool_call_id", ""))
    if not form.writes_results:
        return {"role": "user", "content": f"<tool_response>\n{made['content']}\n</tool_response>"}
    made.setdefault("name", names.get(told, ""))
    made["tool_call_id"] = _id(form, told)
    return made


def _in_form(form: CallForm, call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    if form.arguments_as_text:
        text = json.dumps(function["arguments"], ensure_ascii=False)
        function = {**function, "arguments": text}
    return {**call, "id": _id(form, call["id"]), "function": function}


def _id(form: CallForm, given: str) -> str:
    """An id as the template wants it; the same one for the same."""
    if not form.short_ids or _SHORT.fullmatch(given):
        return given
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:9])


def _instruct(told: list[dict[str, Any]], form: CallForm, tools: Sequence[Tool], role: str) -> None:
    """Put the instructions into the first message of `role`, which is made where there is none."""
    described = "\n".join(json.dumps(tool.described, ensure_ascii=False) for tool in tools)
    text = form.instructions.replace("{tools}", described)
    if role == "user":
        first = next((each for each in told if each["role"] == "user"), None)
    else:
        first = told[0] if told and told[0]["role"] == "system" else None
    if first is None:
        told.insert(0, {"role": role, "content": text})
    elif role == "user":
        first["content"] = f"{text}\n\n{first['content']}"
    else:
        first["content"] = f"{first['content']}\n\n{text}"
