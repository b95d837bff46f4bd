"""Functionary 3: messages to recipients (3.2), or `<function=...>` around arguments (3.1)."""

from __future__ import annotations

from collections.abc import Set

from aboard.tool_calls.form import CallForm

RECIPIENTS = CallForm(
    name="functionary-recipients",
    triggers=(">>>",),
    before_arguments="\n",
    again=">>>",
    prompted=True,
    text_begins="all\n",
    arguments_as_text=True,
)
TAGS = CallForm(
    name="functionary-tags",
    triggers=("<function=",),
    before_arguments=">",
    closing="</function>",
    again="\n<function=",
)


def has_recipients(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of version 3.2."""
    return ">>>all" in source


def has_tags(source: str, vocabulary: Set[str]) -> bool:
    """Whether a chat template is of version 3.1, or of a model that calls as it does."""
    return "<function=" in source and "</function>" in source and "<parameter=" not in source
