"""Granite 3: a list of objects behind `<|tool_call|>`."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

FORM = CallForm(
    name="granite",
    triggers=("<|tool_call|>",),
    opening='[{"name": "',
    before_arguments='", "arguments": ',
    closing="}",
    again=', {"name": "',
    end="]",
    marks=("<|tool_call|>",),
    writes_calls=False,  # its template has the text of messages only
)


def is_of(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of this family."""
    return "<|tool_call|>" in source
