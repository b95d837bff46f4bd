"""JSON Schemas as they were given: their size is bounded, their references are resolved in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from aboard.checkpoint.json_text import unique
from aboard.constrain.schema.precision import precision_of
from aboard.constrain.schema.references import resolved, split_fragment, unescaped
from aboard.constrain.schema.vocabularies import check_vocabularies, holds_key
from aboard.errors import GrammarError, UnsupportedSchema

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 50_000
MAX_NUMBER = 400

_DRAFT = re.compile(r"https?://json-schema\.org/(?:draft-0?(\d)|draft/(\d{4})-\d\d)/schema#?")
ANY_DRAFT = 9999
"""Where none is named: keywords of all drafts mean what they mean in the latest that has them."""

Schema = Mapping[str, Any] | bool | str
"""A JSON Schema, as Python values or as JSON text."""

_HOLDS_ONE = frozenset(
    (
        *("not", "if", "then", "else", "items", "additionalItems", "contains"),
        *("additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"),
    )
)
_HOLDS_SEVERAL = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_HOLDS_NAMED = frozenset(
    (
        *("properties", "patternProperties", "$defs", "definitions"),
        *("dependentSchemas", "dependencies"),
    )
)

_ANCHORS = {"$anchor": 2019, "$dynamicAnchor": 2020}  # and the draft that brought each


@dataclass(frozen=True, slots=True)
class Place:
    """A schema within a document.

    Attributes
    ----------
    value : object
        What stands there: an object or a boolean, where the document is sound.
    pointer : str
        Its JSON pointer, behind a URI where the document isn't the first one.
    base : str
        The URI that references in it are relative to.
    draft : int
        The draft that `$schema` names: 4, 6, 7, 2019, 2020; or ANY_DRAFT.
    scope : tuple of str
        The URIs through which it was reached, where that matters: where there is a `$dynamicRef`.
    """

    value: Any
    pointer: str
    base: str
    draft: int
    scope: tuple[str, ...]

    @property
    def key(self) -> object:
        """Places of the same key accept the same values."""
        return self.pointer, self.scope

    def below(self, *steps: str | int) -> Place:
        """What stands further down; its own `$id` counts."""
        value, pointer = self.value, self.pointer
        for step in steps:
            value = value[step]
            pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        draft = _draft_of(value, pointer, self.draft)
        base = _base_of(value, self.base, draft)
        return Place(value, pointer, base, draft, _entered(self.scope, base))


class Document:
    """The whole of a schema, and others that it may refer to.

    Parameters
    ----------
    schema : mapping, bool or str
        As Python values or as JSON text.
    others : mapping of str to such schemas
        By the URIs under which the schema refers to them.

    Attributes
    ----------
    root : Place
        Where the schema begins.
    precision : Precision
        How numbers are written.

    Raises
    ------
    GrammarError
        One is no JSON, no schema, or too large.
    """

    def __init__(self, schema: Schema, others: Mapping[str, Schema]) -> None:
        values = {"": _parsed(schema)} | {uri: _parsed(other) for uri, other in others.items()}
        self.precision = precision_of(values.values())
        scoped = any(holds_key(value, "$dynamicRef") for value in values.values())
        self._roots: dict[str, Place] = {}
        for uri, value in values.items():
            name = f"{uri}#" if uri else ""
            if not isinstance(value, dict | bool):
                expected = "expected an object or a boolean"
                raise GrammarError(f"{name or 'the schema'}: is {shown(value)}, {expected}")
            draft = _draft_of(value, name, ANY_DRAFT)
            base = _base_of(value, split_fragment(uri)[0], draft)
            check_vocabularies(value, name, values)
            self._roots[uri] = Place(value, name, base, draft, (base,) if scoped else ())
        self.root = self._roots[""]
        self._named: dict[str, Place] | None = None

    def follow(self, place: Place, keyword: str) -> Place:
        """What the reference of a keyword in `place` refers to.

        Raises
        ------
        UnsupportedSchema
            It is in none of the documents.
        """
        pointer = f"{place.pointer}/{keyword}"
        reference = place.value[keyword]
        if not isinstance(reference, str):
            raise GrammarError(f"{pointer}: {keyword} is {shown(reference)}, expected a URI")
        uri, fragment = split_fragment(resolved(place.base, reference))
        found = self._target(uri, fragment)
        if found is None:
            raise UnsupportedSchema(
                f"{pointer}: {keyword} refers to {reference[:100]!r}, which isn't in the schema",
                keyword=keyword,
                pointer=pointer,
                hint="Put what it refers to under $defs, and write '#/$defs/NAME'.",
            )
        if keyword == "$dynamicRef" and _is_dynamic(found, fragment):
            anchored = (self._places().get(f"{uri}#{fragment}") for uri in place.scope)
            found = next((each for each in anchored if each and _is_dynamic(each, fragment)), found)
        return replace(found, scope=_entered(place.scope, found.base))

    def _target(self, uri: str, fragment: str) -> Place | None:
        named = self._places()
        if fragment and not fragment.startswith("/"):
            return named.get(f"{uri}#{fragment}")
        place = named.get(uri)
        for step in fragment.split("/")[1:]:
            key = unescaped(step)
            if place is None:
                return None
            if isinstance(place.value, dict) and key in place.value:
                place = place.below(key)
            elif isinstance(place.value, list) and key.isdecimal() and len(key) < 8:
                place = place.below(int(key)) if int(key) < len(place.value) else None
            else:
                return None
        return place

    def _places(self) -> dict[str, Place]:
        """What has a URI of its own, or an anchor."""
        if self._named is None:
            self._named = {}
            for uri, root in self._roots.items():
                self._named.setdefault(uri, root)
                self._named.setdefault(root.base, root)
                for place in self._all(root):
                    self._name(place)
        return self._named

    def _name(self, place: Place) -> None:
        assert self._named is not None
        own = _identifier(place.value, place.draft)
        if own is not None and not own.startswith("#"):
            self._named.setdefault(place.base, place)
        anchors = [place.value.get(k) for k, since in _ANCHORS.items() if since <= place.draft]
        if own is not None and own.startswith("#") and place.draft in (4, 6, 7, ANY_DRAFT):
            anchors.append(own[1:])
        for anchor in anchors:
            if isinstance(anchor, str):
                self._named.setdefault(f"{place.base}#{anchor}", place)

    def _all(self, place: Place) -> Iterator[Place]:
        """The schemas that are objects: what stands under keywords that hold schemas."""
        if not isinstance(place.value, dict):
            return
        yield place
        for key, value in place.value.items():
            steps: Iterable[int | str] = ()
            if key in _HOLDS_NAMED and isinstance(value, dict):
                steps = value
            elif key in _HOLDS_SEVERAL and isinstance(value, list):
                steps = range(len(value))
            elif key in _HOLDS_ONE and isinstance(value, dict):
                yield from self._all(place.below(key))
            for step in steps:
                yield from self._all(place.below(key, step))


def _is_dynamic(place: Place, anchor: str) -> bool:
    return isinstance(place.value, dict) and place.value.get("$dynamicAnchor") == anchor


def _entered(scope: tuple[str, ...], base: str) -> tuple[str, ...]:
    """The scope with one URI more; where there is none, none matters."""
    return (*scope, base) if scope and base not in scope else scope


def _draft_of(value: object, pointer: str, outer: int) -> int:
    """The draft that `$schema` names, where it is known, or the one around it."""
    declared = value.get("$schema") if isinstance(value, dict) else None
    known = _DRAFT.fullmatch(declared) if isinstance(declared, str) else None
    if known is None:
        return outer
    draft = int(known[1] or known[2])
    if draft < 4:
        raise UnsupportedSchema(
            f"{pointer}/$schema: $schema names draft {draft}, expected 4 or later",
            keyword="$schema",
            pointer=f"{pointer}/$schema",
        )
    return draft


def _identifier(value: object, draft: int) -> str | None:
    found = value.get("id" if draft == 4 else "$id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _base_of(value: object, outer: str, draft: int) -> str:
    own = _identifier(value, draft)
    if own is None or own.startswith("#"):
        return outer
    if draft <= 7 and isinstance(value, dict) and "$ref" in value:
        return outer  # siblings don't count
    return split_fragment(resolved(outer, own))[0]


def _parsed(schema: object) -> Any:
    """The schema as plain Python values: numbers are int or Decimal, keys stand in their order."""
    try:
        text = schema if isinstance(schema, str) else json.dumps(schema, allow_nan=False)
        if len(text) > MAX_BYTES:
            raise GrammarError(
                f"the schema has {len(text)} characters, expected at most {MAX_BYTES}"
            )
        value = json.loads(
            text,
            object_pairs_hook=unique,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
        )
        _check_size(value)
    except RecursionError:
        raise GrammarError(f"the schema is nested more than {MAX_DEPTH} deep") from None
    except (TypeError, ValueError) as error:
        raise GrammarError(f"the schema is no JSON: {str(error)[:200]}") from None
    return value


def _check_size(value: Any) -> None:
    n_values = 0
    waiting = [(value, 0)]
    while waiting:
        at, depth = waiting.pop()
        n_values += 1
        if depth > MAX_DEPTH:
            raise GrammarError(f"the schema is nested more than {MAX_DEPTH} deep")
        if n_values > MAX_VALUES:
            raise GrammarError(f"the schema has more than {MAX_VALUES} values")
        below = at.values() if isinstance(at, dict) else at if isinstance(at, list) else ()
        waiting += [(each, depth + 1) for each in below]


def _decimal(digits: str) -> Decimal:
    """The number that readers make of it: the float next to it, by its shortest digits.

    From 2 ** 53 on, where all floats are integers, by all of its digits: integers are told from it.
    """
    value = float(digits)
    if math.isinf(value) or (value == 0 and Decimal(digits) != 0) or len(digits) > MAX_NUMBER:
        raise ValueError(f"the number {digits[:40]} is too large or too small")
    return Decimal(repr(value)) if abs(value) < 1 << 53 else Decimal(value)


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise ValueError(f"a number has {len(digits)} digits, expected at most {MAX_NUMBER}")
    return int(digits)


def _constant(name: str) -> object:
    raise ValueError(f"it holds {name}")


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
