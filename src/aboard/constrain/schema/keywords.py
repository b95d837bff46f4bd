"""The keywords of JSON Schema: which are enforced, and which refused."""

from __future__ import annotations

from aboard.constrain.schema.document import ANY_DRAFT, Place, shown
from aboard.errors import GrammarError, UnsupportedSchema

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
"""What bounds numbers."""

BY_TYPE = frozenset(
    (
        *("type", "minLength", "maxLength", "pattern", "format", "multipleOf", *BOUNDS),
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

_SINCE = {
    **dict.fromkeys(("const", "contains", "propertyNames"), 6),
    **dict.fromkeys(("if", "then", "else"), 7),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "minContains", "maxContains"), 2019),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), 2019),
    **dict.fromkeys(("prefixItems", "$dynamicRef"), 2020),
}
"""Drafts that brought keywords; all others of BY_TYPE and APPLICATORS are in draft 4 already."""

_UNTIL = {"additionalItems": 2019}
"""The last drafts of keywords; `dependencies` goes on being obeyed, as the later drafts allow."""


def check_keywords(place: Place) -> None:
    """Refuse keywords that would change which values are accepted, and aren't enforced.

    So is one that `$schema`'s draft doesn't know but another does: validators that go by the draft
    ignore it, which its author hardly meant. What no draft knows says nothing of values, as the
    standard has it.

    Raises
    ------
    UnsupportedSchema
        There is one.
    """
    if place.draft != ANY_DRAFT:
        for keyword in place.value:
            _check_draft(place, keyword)
    for keyword, hint in REFUSED.items():
        if keyword in place.value:
            raise unsupported(place, keyword, "isn't enforced", hint)


def _check_draft(place: Place, keyword: str) -> None:
    since, until = _SINCE.get(keyword, 0), _UNTIL.get(keyword, ANY_DRAFT)
    if not since <= place.draft <= until:
        there = f"came with draft {since}" if place.draft < since else f"ended with draft {until}"
        raise unsupported(
            place,
            keyword,
            f"{there}, the schema is of draft {place.draft}",
            "Name another draft in $schema, or none: then keywords of all drafts are obeyed.",
        )


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
