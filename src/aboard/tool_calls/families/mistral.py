"""Mistral: a list of objects (Nemo), or names and arguments (Small 3.2), behind `[TOOL_CALLS]`."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

LIST = CallForm(
    name="mistral-list",
    triggers=("[TOOL_CALLS]",),
    opening='[{"name": "',
    before_arguments='", "arguments": ',
    before_last_id=', "id": "',
    closing="}",
    again=', {"name": "',
    end="]",
    marks=("[TOOL_CALLS]",),
    short_ids=True,
)
NAMED = CallForm(
    name="mistral",
    triggers=("[TOOL_CALLS]",),
    before_arguments="[ARGS]",
    again="[TOOL_CALLS]",
    marks=("[TOOL_CALLS]", "[ARGS]"),
    short_ids=True,
)
NUMBERED = CallForm(
    name="mistral-numbered",
    triggers=("[TOOL_CALLS]",),
    before_id="[CALL_ID]",
    before_arguments="[ARGS]",
    again="[TOOL_CALLS]",
    marks=("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
    short_ids=True,
)


def is_list(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of those that have a list."""
    return "[TOOL_CALLS]" in source and "[ARGS]" not in source


def is_named(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of those that have a name and arguments, and no ids."""
    return "[TOOL_CALLS]" in source and "[ARGS]" in source and "[CALL_ID]" not in source


def is_numbered(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of those that have an id between name and arguments."""
    return all(mark in source for mark in NUMBERED.marks)
