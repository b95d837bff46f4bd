"""Llama 3.1 to 3.3: the whole answer is one object, with or without `<|python_tag|>` before it."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

_TAG = "<|python_tag|>"
_BEGINNINGS = ('{"name": "', '{"name":"', '{"type": "function", "name": "')

FORM = CallForm(
    name="llama3",
    triggers=(*_BEGINNINGS, *(_TAG + each for each in _BEGINNINGS)),
    before_arguments='", "parameters": ',
    closing="}",
    again=None,
    anywhere=False,
    marks=(_TAG,),
)


def is_of(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of this family."""
    return "<|start_header_id|>" in source and '"parameters": ' in source
