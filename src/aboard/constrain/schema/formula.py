"""Formulas over schemas: which of them a value must satisfy, and which not.

Made by one `Formulas` for one schema, so that equal ones are the same object.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from aboard.constrain.schema.document import Place
    from aboard.constrain.schema.shapes import Shape

Kind = Literal["true", "false", "schema", "values", "shape", "both", "either", "not"]


class Formula:
    """What a value may be.

    Attributes
    ----------
    kind : str
        "schema": what stands at `place`; "values": one of `values`; "shape": of `shape`; "both" and
        "either" of `parts`, "not" of the only one; "true" and "false".
    parts : tuple of Formula
        What it is made of.
    """

    __slots__ = ("kind", "parts", "place", "shape", "values")

    def __init__(self, kind: Kind, parts: tuple[Formula, ...] = ()) -> None:
        self.kind = kind
        self.parts = parts
        self.place: Place | None = None
        self.values: tuple[Any, ...] = ()
        self.shape: Shape | None = None


class Formulas:
    """Makes formulas, each once."""

    def __init__(self) -> None:
        self.true = Formula("true")
        self.false = Formula("false")
        self._made: dict[object, Formula] = {}

    def schema(self, place: Place) -> Formula:
        """What the schema at `place` accepts."""
        if place.value is True or place.value == {}:
            return self.true
        if place.value is False:
            return self.false
        made = self._make("schema", (), place.key)
        made.place = place
        return made

    def values(self, values: tuple[Any, ...]) -> Formula:
        """Any of these JSON values."""
        if not values:
            return self.false
        made = self._make("values", (), tuple(canonical(value) for value in values))
        made.values = values
        return made

    def shape(self, shape: Shape) -> Formula:
        """What is of this shape."""
        made = self._make("shape", (), shape)
        made.shape = shape
        return made

    def both(self, *parts: Formula) -> Formula:
        """What satisfies all of `parts`."""
        needs: dict[Formula, None] = {}
        for part in parts:
            for need in part.parts if part.kind == "both" else (part,):
                if need is not self.true:
                    needs[need] = None
        if self.false in needs or any(n.kind == "not" and n.parts[0] in needs for n in needs):
            return self.false
        return self._several("both", tuple(needs), self.true)

    def either(self, *parts: Formula) -> Formula:
        """What satisfies any of `parts`."""
        options: dict[Formula, None] = {}
        for part in parts:
            for option in part.parts if part.kind == "either" else (part,):
                if option is not self.false:
                    options[option] = None
        if self.true in options or any(o.kind == "not" and o.parts[0] in options for o in options):
            return self.true
        return self._several("either", tuple(options), self.false)

    def negated(self, part: Formula) -> Formula:
        """What doesn't satisfy `part`."""
        if part is self.true:
            return self.false
        if part is self.false:
            return self.true
        return part.parts[0] if part.kind == "not" else self._make("not", (part,), None)

    def _several(
        self, kind: Literal["both", "either"], parts: tuple[Formula, ...], none: Formula
    ) -> Formula:
        if len(parts) < 2:
            return parts[0] if parts else none
        return self._make(kind, parts, None)

    def _make(self, kind: Kind, parts: tuple[Formula, ...], about: object) -> Formula:
        key = (kind, parts, about)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = Formula(kind, parts)
        return made


def canonical(value: Any) -> str:
    """A text that equal JSON values share: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{canonical(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    digits = format(value, "f") if not isinstance(value, int) else str(value)
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits in ("-0", "") else digits
