"""LFM2: a list between two control tokens; of JSON, where the model is told to write that."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

FORM = CallForm(
    name="lfm2",
    triggers=("<|tool_call_start|>",),
    opening='[{"name": "',
    before_arguments='", "arguments": ',
    closing="}",
    again=', {"name": "',
    end="]<|tool_call_end|>",
    marks=("<|tool_call_start|>", "<|tool_call_end|>"),
    writes_calls=False,  # its template has the text of messages only
    instructions="Output function calls as JSON.",
)


def is_of(source: str, vocabulary: Set[str]) -> bool:
    """Whether a model is of this family: its template may not name the tokens."""
    return FORM.triggers[0] in source or FORM.triggers[0] in vocabulary
