"""Hermes, Qwen 2.5 and 3, Granite 4, SmolLM3 and others: `<tool_call>` around an object."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

FORM = CallForm(
    name="hermes",
    triggers=("<tool_call>",),
    opening='\n{"name": "',
    before_arguments='", "arguments": ',
    closing="}\n</tool_call>",
    again='\n<tool_call>\n{"name": "',
    marks=("<tool_call>", "</tool_call>"),
)


def is_of(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of this family."""
    otherwise = "<arg_key>" in source or "<parameter=" in source  # GLM, Qwen3-Coder
    return "<tool_call>" in source and "arguments" in source and not otherwise
