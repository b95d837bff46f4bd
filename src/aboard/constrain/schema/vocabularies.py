"""Metaschemas of one's own: which of the standard's vocabularies they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aboard.errors import UnsupportedSchema

_KEYWORDS = {
    "validation": (
        *("type", "const", "enum", "multipleOf", "maximum", "exclusiveMaximum", "minimum"),
        *("exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems"),
        *("uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties"),
        *("required", "dependentRequired"),
    ),
    "applicator": (
        *("prefixItems", "items", "contains", "additionalProperties", "properties"),
        *("patternProperties", "dependentSchemas", "propertyNames", "if", "then", "else"),
        *("allOf", "anyOf", "oneOf", "not"),
    ),
}
"""What each vocabulary brings, besides those that all metaschemas have."""


def check_vocabularies(value: Any, name: str, documents: Mapping[str, Any]) -> None:
    """Refuse keywords of the document `name` that its metaschema, one of `documents`, leaves out.

    They would say nothing of values there, and are enforced here wherever they stand.

    Raises
    ------
    UnsupportedSchema
        There is one.
    """
    declared = value.get("$schema") if isinstance(value, dict) else None
    metaschema = documents.get(declared) if isinstance(declared, str) else None
    known = metaschema.get("$vocabulary") if isinstance(metaschema, dict) else None
    if not isinstance(known, dict):
        return
    for vocabulary, keywords in _KEYWORDS.items():
        if any(uri.endswith(f"/vocab/{vocabulary}") for uri in known):
            continue
        for keyword in keywords:
            if holds_key(value, keyword):
                raise UnsupportedSchema(
                    f"{name}/$schema: $schema names a metaschema without the vocabulary "
                    f"{vocabulary}, and the schema has {keyword}",
                    keyword="$schema",
                    pointer=f"{name}/$schema",
                    hint="Leave out $schema: then keywords of all drafts are obeyed.",
                )


def holds_key(value: Any, key: str) -> bool:
    """Whether an object within a JSON value has such a key."""
    if isinstance(value, dict):
        return key in value or any(holds_key(each, key) for each in value.values())
    return isinstance(value, list) and any(holds_key(each, key) for each in value)
