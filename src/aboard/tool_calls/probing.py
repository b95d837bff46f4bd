"""What a chat template does with tools, found out by having it write a conversation down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from aboard.errors import TemplateError
from aboard.tool_calls.families import plain
from aboard.tool_calls.families.table import form_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from aboard.checkpoint.chat_template import ChatTemplate
    from aboard.tool_calls.form import CallForm

_DAY = date(2000, 1, 1)
_TOOL = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": "probe_description",
        "parameters": {
            "type": "object",
            "properties": {"probe_key": {"type": "string", "description": "probe_meaning"}},
        },
    },
}
_USER = {"role": "user", "content": "probe_question"}


def found_form(template: ChatTemplate, vocabulary: Set[str]) -> CallForm:
    """The form of calls of a model, with what its template leaves to others.

    Parameters
    ----------
    template : ChatTemplate
    vocabulary : set of str
        The texts of the model's control tokens.
    """
    form = form_of(template.tools_source or "", vocabulary)
    if form is not plain.FORM and "probe_tool" not in _rendered(template, [_USER]):
        form = plain.FORM  # it says nothing of tools, whatever it does with calls
    return form if form is plain.FORM else as_written(form, template, (_TOOL,))


def as_written(
    form: CallForm, template: ChatTemplate, tools: Sequence[Mapping[str, Any]] | None = None
) -> CallForm:
    """The form, with what the template does with past calls: it may be another without tools."""
    for as_text in (False, True):
        text = _rendered(template, _called(as_text), tools)
        if "probe_tool" in text and "probe_value" in text and "probe_result" in text:
            return replace(form, arguments_as_text=as_text)
    results = "probe_result" in _rendered(template, [_USER, _assistant(), _RESULT], tools)
    return replace(form, writes_calls=False, writes_results=results)


def takes_system(template: ChatTemplate) -> bool:
    """Whether it writes down what the system says."""
    system = {"role": "system", "content": "probe_system"}
    return "probe_system" in _rendered(template, [system, _USER], tools=None)


_ID = "a1b2c3d4e"
_RESULT = {"role": "tool", "content": "probe_result", "tool_call_id": _ID, "name": "probe_tool"}


def _assistant(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", **more}


def _called(as_text: bool) -> list[Mapping[str, Any]]:
    """A call and its result, and not a word of the tools' description."""
    arguments: Any = '{"probe_key": "probe_value"}' if as_text else {"probe_key": "probe_value"}
    function = {"name": "probe_tool", "arguments": arguments}
    call = {"id": _ID, "type": "function", "function": function}
    return [_USER, _assistant(tool_calls=[call]), _RESULT]


def _rendered(
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = (_TOOL,),
) -> str:
    """The text of a conversation, "" where the template refuses it."""
    try:
        return template.render(messages, tools=tools, now=_DAY)
    except TemplateError:
        return ""
