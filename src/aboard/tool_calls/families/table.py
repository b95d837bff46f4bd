"""The families in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable, Set

from aboard.tool_calls.families import functionary, granite, hermes, lfm2, llama3, mistral, plain
from aboard.tool_calls.form import CallForm

FAMILIES: tuple[tuple[CallForm, Callable[[str, Set[str]], bool]], ...] = (
    (mistral.NUMBERED, mistral.is_numbered),
    (mistral.NAMED, mistral.is_named),
    (mistral.LIST, mistral.is_list),
    (functionary.RECIPIENTS, functionary.has_recipients),
    (functionary.TAGS, functionary.has_tags),
    (granite.FORM, granite.is_of),
    (lfm2.FORM, lfm2.is_of),
    (hermes.FORM, hermes.is_of),
    (llama3.FORM, llama3.is_of),
)
"""Forms of calls, and how each is told by a template's source and the names of control tokens."""


def form_of(source: str, vocabulary: Set[str]) -> CallForm:
    """The form in which a model writes calls; `plain.FORM` where none is known."""
    for form, is_of in FAMILIES:
        if is_of(source, vocabulary):
            return form
    return plain.FORM
