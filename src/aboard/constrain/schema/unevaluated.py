"""Which members and items the keywords of a schema evaluate, and those of schemas in its place.

`unevaluatedProperties` and `unevaluatedItems` are about all others. What a schema evaluates depends
on which of its alternatives a value satisfies, so there are cases: each a condition and what is
evaluated where it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from aboard.constrain.language.expression import ANY, NOTHING, Expression, choice, literals, other
from aboard.constrain.schema.document import Place
from aboard.constrain.schema.formula import Formula
from aboard.constrain.schema.keywords import schemas, schemas_by_name, unsupported
from aboard.constrain.schema.scalars import language_of_pattern
from aboard.constrain.schema.shapes import ArrayShape, ObjectShape, Span

if TYPE_CHECKING:
    from aboard.constrain.schema.meaning import Meaning

MAX_CASES = 64


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Members and items.

    Attributes
    ----------
    names : Expression
        Of members.
    first : int or None
        So many items from the beginning; None: all.
    items : tuple of Formula
        Items that satisfy any of these, wherever they stand.
    """

    names: Expression = NOTHING
    first: int | None = 0
    items: tuple[Formula, ...] = ()

    def join(self, more: Evaluated) -> Evaluated:
        """What is evaluated by either."""
        firsts = (self.first, more.first)
        return Evaluated(
            choice(self.names, more.names),
            None if None in firsts else max(first or 0 for first in firsts),
            tuple(dict.fromkeys((*self.items, *more.items))),
        )


Case = tuple[Formula, Evaluated]
_NOTHING = Evaluated()


class Evaluation:
    """What an `unevaluated...` keyword of one schema demands.

    Parameters
    ----------
    meaning : Meaning
        Of the document.
    place : Place
        The schema.
    keyword : str
        "unevaluatedProperties" or "unevaluatedItems".
    """

    def __init__(self, meaning: Meaning, place: Place, keyword: str) -> None:
        self._meaning = meaning
        self._make = meaning.formulas
        self._place = place
        self._keyword = keyword
        self._anyway: Case = (meaning.formulas.true, _NOTHING)
        self._under_way: set[object] = set()

    def demanded(self) -> Formula:
        """What a value satisfies.

        Raises
        ------
        GrammarError
            There are too many cases.
        """
        rest = self._make.schema(self._place.below(self._keyword))
        options = []
        for condition, evaluated in self._cases(self._place, but=self._keyword):
            if self._keyword == "unevaluatedProperties":
                rules = ((other(evaluated.names), rest),)
                shape = self._meaning.any_but(objects=ObjectShape(rules=rules))
            elif evaluated.first is None:
                shape = self._meaning.any_but()
            else:
                item = self._make.either(*evaluated.items, rest)
                items = ((Span(evaluated.first, None), item),)
                shape = self._meaning.any_but(arrays=ArrayShape(items=items))
            options.append(self._make.both(condition, self._make.shape(shape)))
        return self._make.either(*options)

    def _cases(self, place: Place, but: str = "") -> list[Case]:
        """What the schema evaluates, its keyword `but` left out."""
        if not isinstance(place.value, dict) or place.key in self._under_way:
            return [self._anyway]
        self._under_way.add(place.key)
        try:
            found: list[Case] = [(self._make.true, self._own(place, but))]
            for cases in self._alternatives(place):
                found = self._product(found, cases)
        finally:
            self._under_way.discard(place.key)
        return found

    def _product(self, ones: list[Case], others: list[Case]) -> list[Case]:
        merged: dict[Evaluated, Formula] = {}
        for (one, by_one), (another, by_other) in product(ones, others):
            condition = self._make.both(one, another)
            self._meaning.questions.spend(5)
            if not self._meaning.is_impossible(condition):
                both = by_one.join(by_other)
                known = merged.get(both, self._make.false)
                merged[both] = self._make.either(known, condition)
        if len(merged) > MAX_CASES:
            why = f"has more than {MAX_CASES} cases"
            raise unsupported(self._place, self._keyword, why)
        return [(condition, evaluated) for evaluated, condition in merged.items()]

    def _own(self, place: Place, but: str) -> Evaluated:
        """What the schema's own keywords evaluate."""
        value = place.value
        names = [literals(schemas_by_name(place, "properties"))]
        names += [
            language_of_pattern(place.below("patternProperties"), pattern, pattern)
            for pattern in schemas_by_name(place, "patternProperties")
        ]
        if any(k in value and k != but for k in ("additionalProperties", "unevaluatedProperties")):
            names = [ANY]
        listed = value.get("prefixItems", value.get("items"))
        first: int | None = len(listed) if isinstance(listed, list) else 0
        rest = "additionalItems" if isinstance(value.get("items"), list) else "items"
        if any(k in value and k != but for k in (rest, "unevaluatedItems")):
            first = None
        contained = "contains" in value and place.draft >= 2020
        items = (self._make.schema(place.below("contains")),) if contained else ()
        return Evaluated(choice(*names), first, items)

    def _alternatives(self, place: Place) -> Iterator[list[Case]]:
        """The cases of each keyword that applies schemas to the same value."""
        value, make = place.value, self._make
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in value:
                yield self._cases(self._meaning.follow(place, keyword))
        if "allOf" in value:
            for each in schemas(place, "allOf"):
                yield self._cases(each)
        for keyword in ("anyOf", "oneOf"):  # of several that hold, the schema itself decides
            if keyword in value:
                for each in schemas(place, keyword):
                    yield self._where(make.schema(each), self._cases(each))
        if "if" in value:
            condition = make.schema(place.below("if"))
            then = self._cases(place.below("then")) if "then" in value else [self._anyway]
            otherwise = self._cases(place.below("else")) if "else" in value else [self._anyway]
            held = self._product(self._cases(place.below("if")), then)
            yield [
                *((make.both(condition, c), e) for c, e in held),
                *((make.both(make.negated(condition), c), e) for c, e in otherwise),
            ]
        for name, each in schemas_by_name(place, "dependentSchemas").items():
            yield self._where(make.negated(self._meaning.lacks(name)), self._cases(each))

    def _where(self, condition: Formula, cases: list[Case]) -> list[Case]:
        """The cases where the condition holds, and nothing evaluated where it doesn't."""
        if all(evaluated == _NOTHING for _, evaluated in cases):
            return [self._anyway]
        held = [(self._make.both(condition, c), evaluated) for c, evaluated in cases]
        return [*held, (self._make.negated(condition), _NOTHING)]
