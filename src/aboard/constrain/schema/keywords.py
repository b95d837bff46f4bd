"""The keywords of JSON Schema: which are enforced, and which refused."""

from __future__ import annotations

from aboard.constrain.schema.document import Place, shown
from aboard.errors import GrammarError, UnsupportedSchema

BY_TYPE = frozenset(
    (
        *("type", "minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains"),
        *("minItems", "maxItems", "uniqueItems"),
        *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
        *("minProperties", "maxProperties"),
    )
)
"""What depends on the type of a value: enforced together."""

APPLICATORS = frozenset(
    (
        *("enum", "const", "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if"),
        *("dependentRequired", "dependentSchemas", "dependencies"),
        *("unevaluatedItems", "unevaluatedProperties"),
    )
)
"""Enforced one by one."""

REFUSED = {
    "$recursiveRef": "Say $ref.",
    "extends": "It is of draft 3; say allOf.",
    "disallow": "It is of draft 3; say not.",
    "divisibleBy": "It is of draft 3; say multipleOf.",
}
"""What would be ignored otherwise, and what to say instead."""


def check_keywords(place: Place) -> None:
    """Refuse keywords that would change which values are accepted, and aren't enforced.

    A keyword that no draft knows says nothing of values, as the standard has it.

    Raises
    ------
    UnsupportedSchema
        There is one.
    """
    for keyword, hint in REFUSED.items():
        if keyword in place.value:
            raise unsupported(place, keyword, "isn't enforced", hint)


def unsupported(place: Place, keyword: str, why: str, hint: str | None = None) -> UnsupportedSchema:
    """The error that a keyword of the schema at `place` can't be enforced."""
    pointer = f"{place.pointer}/{keyword}"
    return UnsupportedSchema(
        f"{pointer}: {keyword} {why}", keyword=keyword, pointer=pointer, hint=hint
    )


def malformed(place: Place, keyword: str, expected: str) -> GrammarError:
    """The error that a keyword's value is none."""
    found = shown(place.value[keyword])
    return GrammarError(f"{place.pointer}/{keyword}: is {found}, expected {expected}")


def count(place: Place, keyword: str) -> int | None:
    """The value of a keyword that says how many; None where it isn't there.

    Raises
    ------
    GrammarError
        It is no integer from 0.
    """
    if keyword not in place.value:
        return None
    value = place.value[keyword]
    if not isinstance(value, bool | str | list | dict | None) and value == int(value) >= 0:
        return int(value)
    raise malformed(place, keyword, "an integer from 0")


def text(place: Place, keyword: str) -> str | None:
    """The value of a keyword that holds a text; None where it isn't there.

    Raises
    ------
    GrammarError
        It is no text.
    """
    value = place.value.get(keyword)
    if value is None and keyword not in place.value:
        return None
    if not isinstance(value, str):
        raise malformed(place, keyword, "a text")
    return value


def schemas(place: Place, keyword: str) -> list[Place]:
    """The schemas of a keyword that holds a list of them.

    Raises
    ------
    GrammarError
        It holds something else.
    """
    value = place.value[keyword]
    if not isinstance(value, list) or not value:
        raise malformed(place, keyword, "a list of schemas")
    return [place.below(keyword, index) for index in range(len(value))]


def schemas_by_name(place: Place, keyword: str) -> dict[str, Place]:
    """The schemas of a keyword that holds them under names; none where it isn't there.

    Raises
    ------
    GrammarError
        It holds something else.
    """
    value = place.value.get(keyword, {})
    if not isinstance(value, dict):
        raise malformed(place, keyword, "an object of schemas")
    return {name: place.below(keyword, name) for name in value}


def names(place: Place, keyword: str) -> list[str]:
    """The value of a keyword that holds a list of names; none where it isn't there.

    Raises
    ------
    GrammarError
        It holds something else.
    """
    value = place.value.get(keyword, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise malformed(place, keyword, "a list of names")
    return value
