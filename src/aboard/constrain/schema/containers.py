"""What keywords demand of arrays and objects, as shapes."""

from __future__ import annotations

from aboard.constrain.language.expression import choice, literals, other
from aboard.constrain.schema.document import Place
from aboard.constrain.schema.formula import Formula, Formulas
from aboard.constrain.schema.keywords import (
    count,
    malformed,
    names,
    schemas,
    schemas_by_name,
    unsupported,
)
from aboard.constrain.schema.scalars import language_of_pattern
from aboard.constrain.schema.shapes import ArrayShape, Count, Names, ObjectShape, Span

MAX_ITEMS = 10_000


def arrays(place: Place, formulas: Formulas) -> ArrayShape:
    """The arrays that a schema's keywords accept.

    Raises
    ------
    GrammarError
        A keyword's value is wrong, or can't be enforced.
    """
    least, most = count(place, "minItems") or 0, count(place, "maxItems")
    if max(least, most or 0) > MAX_ITEMS:
        keyword = "minItems" if least > MAX_ITEMS else "maxItems"
        raise unsupported(place, keyword, f"is beyond {MAX_ITEMS}")
    unique = place.value.get("uniqueItems", False)
    if not isinstance(unique, bool):
        raise malformed(place, "uniqueItems", "true or false")
    return ArrayShape(
        tuple(_items(place, formulas)),
        tuple(_counts(place, formulas)),
        least,
        most,
        f"{place.pointer}/uniqueItems" if unique else None,
    )


def _items(place: Place, formulas: Formulas) -> list[tuple[Span, Formula]]:
    """What items satisfy, in the words of any draft: before 2020 a list of them was `items`."""
    value = place.value
    listed, rest = "prefixItems", "items"
    if isinstance(value.get("items"), list):
        if "prefixItems" in value or place.draft == 2020:
            raise malformed(place, "items", "a schema; prefixItems lists them")
        listed, rest = "items", "additionalItems"
    found = []
    n_listed = 0
    if listed in value and value[listed] != []:
        for index, each in enumerate(schemas(place, listed)):
            found.append((Span(index, index + 1), formulas.schema(each)))
            n_listed = index + 1
    if rest in value:
        found.append((Span(n_listed, None), formulas.schema(place.below(rest))))
    return [(span, formula) for span, formula in found if formula is not formulas.true]


def _counts(place: Place, formulas: Formulas) -> list[Count]:
    if "contains" not in place.value:
        return []
    least, most = count(place, "minContains"), count(place, "maxContains")
    least = 1 if least is None else least
    if least == 0 and most is None:
        return []
    return [Count(Span(), formulas.schema(place.below("contains")), least, most)]


def objects(place: Place, formulas: Formulas) -> ObjectShape:
    """The objects that a schema's keywords accept.

    Raises
    ------
    GrammarError
        A keyword's value is wrong, or can't be enforced.
    """
    properties = schemas_by_name(place, "properties")
    patterns = schemas_by_name(place, "patternProperties")
    languages = {
        pattern: language_of_pattern(place.below("patternProperties"), pattern, pattern)
        for pattern in patterns
    }
    rules: list[tuple[Names, Formula]] = [
        (name, formulas.schema(each)) for name, each in properties.items()
    ]
    rules += [(languages[pattern], formulas.schema(each)) for pattern, each in patterns.items()]
    if "additionalProperties" in place.value:
        named = choice(literals(properties), *languages.values())
        rest = formulas.schema(place.below("additionalProperties"))
        rules.append((other(named), rest))
    rules = [(name, formula) for name, formula in rules if formula is not formulas.true]
    required = names(place, "required")
    return ObjectShape(
        tuple(rules),
        tuple((name, formulas.true) for name in dict.fromkeys(required)),
        count(place, "minProperties") or 0,
        count(place, "maxProperties"),
        tuple(dict.fromkeys((*properties, *required))),
    )


def array_of(values: list[object], formulas: Formulas) -> ArrayShape:
    """The array of these items alone."""
    items = tuple(
        (Span(index, index + 1), formulas.values((value,))) for index, value in enumerate(values)
    )
    return ArrayShape(items, least=len(values), most=len(values))


def object_of(members: dict[str, object], formulas: Formulas) -> ObjectShape:
    """The object of these members alone."""
    rules: list[tuple[Names, Formula]] = [
        (name, formulas.values((value,))) for name, value in members.items()
    ]
    rules.append((other(literals(members)), formulas.false))
    return ObjectShape(
        tuple(rules), tuple((name, formulas.true) for name in members), order=tuple(members)
    )


def without(name: str, formulas: Formulas) -> ObjectShape:
    """Objects that have no member of this name."""
    return ObjectShape(rules=((name, formulas.false),))


def needing(required: list[str], formulas: Formulas) -> ObjectShape:
    """Objects that have members of these names."""
    return ObjectShape(
        needs=tuple((name, formulas.true) for name in required), order=tuple(required)
    )
