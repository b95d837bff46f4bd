"""A JSON Schema as it was given: its size is bounded, its references are resolved within it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aboard.checkpoint.json_text import unique
from aboard.constrain.schema.references import resolved, split_fragment, unescaped
from aboard.errors import GrammarError, UnsupportedSchema

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_VALUES = 50_000
MAX_EXPONENT = 400

_DRAFT = re.compile(r"https?://json-schema\.org/(?:draft-0?(\d)|draft/(\d{4})-\d\d)/schema#?")
LATEST = 2020

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


@dataclass(frozen=True, slots=True)
class Place:
    """A schema within the document.

    Attributes
    ----------
    value : object
        What stands there: an object or a boolean, where the document is sound.
    pointer : str
        Its JSON pointer.
    base : str
        The URI that references in it are relative to.
    draft : int
        Of the document.
    """

    value: Any
    pointer: str
    base: str
    draft: int

    def below(self, *steps: str | int) -> Place:
        """What stands further down; its own `$id` counts."""
        value, pointer = self.value, self.pointer
        for step in steps:
            value = value[step]
            pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        return Place(value, pointer, _base_of(value, self.base, self.draft), self.draft)


class Document:
    """The whole of a schema.

    Parameters
    ----------
    schema : mapping, bool or str
        As Python values or as JSON text.

    Attributes
    ----------
    root : Place
        Where it begins.
    draft : int
        4, 6, 7, 2019 or 2020, as `$schema` says; 2020 where it names none that is known.

    Raises
    ------
    GrammarError
        It is no JSON, no schema, or too large.
    """

    def __init__(self, schema: Mapping[str, Any] | bool | str) -> None:
        value = _parsed(schema)
        if not isinstance(value, dict | bool):
            raise GrammarError(f"the schema is {shown(value)}, expected an object or a boolean")
        declared = value.get("$schema") if isinstance(value, dict) else None
        known = _DRAFT.fullmatch(declared) if isinstance(declared, str) else None
        self.draft = int(known[1] or known[2]) if known else LATEST
        if known and self.draft < 4:
            raise UnsupportedSchema(
                f"/$schema: $schema names draft {self.draft}, expected 4 or later",
                keyword="$schema",
                pointer="/$schema",
            )
        self.root = Place(value, "", _base_of(value, "", self.draft), self.draft)
        self._named: dict[str, Place] | None = None

    def follow(self, place: Place, reference: object, keyword: str = "$ref") -> Place:
        """What a reference in `place` refers to.

        Raises
        ------
        UnsupportedSchema
            It is not within the document.
        """
        pointer = f"{place.pointer}/{keyword}"
        if not isinstance(reference, str):
            raise GrammarError(f"{pointer}: {keyword} is {shown(reference)}, expected a URI")
        uri, fragment = split_fragment(resolved(place.base, reference))
        named = self._places()
        found = named.get(uri)
        if found is not None and (fragment == "" or fragment.startswith("/")):
            target = self._walk(found, fragment)
            if target is not None:
                return target
        elif f"{uri}#{fragment}" in named:
            return named[f"{uri}#{fragment}"]
        raise UnsupportedSchema(
            f"{pointer}: {keyword} refers to {reference[:100]!r}, which isn't in the schema",
            keyword=keyword,
            pointer=pointer,
            hint="Put what it refers to under $defs, and write '#/$defs/NAME'.",
        )

    def _walk(self, place: Place, fragment: str) -> Place | None:
        """What stands at a JSON pointer; None for nothing."""
        for step in fragment.split("/")[1:]:
            key = unescaped(step)
            if isinstance(place.value, dict) and key in place.value:
                place = place.below(key)
            elif isinstance(place.value, list) and key.isdecimal() and len(key) < 8:
                if int(key) >= len(place.value):
                    return None
                place = place.below(int(key))
            else:
                return None
        return place

    def _places(self) -> dict[str, Place]:
        """What has a URI of its own, or an anchor."""
        if self._named is None:
            self._named = {self.root.base: self.root, "": self.root}
            for place in self._all(self.root):
                if (own := _identifier(place.value, self.draft)) and place.base not in self._named:
                    self._named[place.base] = place
                anchors = [place.value.get(k) for k in ("$anchor", "$dynamicAnchor")]
                if own and own.startswith("#"):
                    anchors.append(own[1:])
                for anchor in anchors:
                    if isinstance(anchor, str):
                        self._named.setdefault(f"{place.base}#{anchor}", place)
        return self._named

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
    number = Decimal(digits)
    if abs(number.adjusted()) > MAX_EXPONENT or len(digits) > MAX_EXPONENT:
        raise ValueError(f"the number {digits[:40]} is too large or too small")
    return number


def _integer(digits: str) -> int:
    if len(digits) > MAX_EXPONENT:
        raise ValueError(f"a number has {len(digits)} digits, expected at most {MAX_EXPONENT}")
    return int(digits)


def _constant(name: str) -> object:
    raise ValueError(f"it holds {name}")


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
