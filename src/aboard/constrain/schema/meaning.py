"""What a schema means: the shape of the values that it accepts, found keyword by keyword.

Members and items are looked into only where that decides something, so schemas may be recursive.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import NOTHING, literals, other
from aboard.constrain.schema.containers import (
    array_of,
    arrays,
    needing,
    object_of,
    objects,
    without,
)
from aboard.constrain.schema.document import Document, Place, shown
from aboard.constrain.schema.formula import Formula, Formulas
from aboard.constrain.schema.keywords import (
    APPLICATORS,
    BOUNDS,
    BY_TYPE,
    check_keywords,
    malformed,
    schemas,
    schemas_by_name,
)
from aboard.constrain.schema.scalars import check_constants, constants, numbers, strings
from aboard.constrain.schema.shapes import (
    FULL,
    ArrayShape,
    Demands,
    ObjectShape,
    Shape,
    demands_of,
    joined,
)
from aboard.constrain.schema.unevaluated import Evaluation
from aboard.errors import GrammarError

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_MAX_LOOKED_INTO = 8
_BOUND = 40  # steps that a bound of numbers takes


class _Endless(GrammarError):
    """A schema refers to itself without coming to a member or an item."""


class Meaning:
    """Finds out what schemas of one document accept.

    Parameters
    ----------
    document : Document
        What references are followed in.
    questions : Questions
        What answers questions about languages, and bounds all work.

    Attributes
    ----------
    formulas : Formulas
        What makes formulas.
    """

    def __init__(self, document: Document, questions: Questions) -> None:
        self.formulas = Formulas()
        self.questions = questions
        self._document = document
        self._shapes: dict[Formula, Shape] = {
            self.formulas.true: FULL,
            self.formulas.false: Shape(),
        }
        self._under_way: set[Formula] = set()
        self._impossible: dict[Formula, bool] = {self.formulas.false: True}
        self._depth = 0

    def root(self) -> Formula:
        """What the whole schema accepts."""
        return self.formulas.schema(self._document.root)

    def shape(self, formula: Formula) -> Shape:
        """What values of `formula` may be.

        Raises
        ------
        GrammarError
            A schema is wrong, takes too much work, or can't be enforced.
        """
        known = self._shapes.get(formula)
        if known is not None:
            return known
        if formula in self._under_way:
            where = "" if formula.place is None else f"{formula.place.pointer}: "
            raise _Endless(f"{where}the schema refers to itself without end")
        self.questions.spend(10)
        self._under_way.add(formula)
        try:
            found = self._shapes[formula] = self._shape(formula)
        finally:
            self._under_way.discard(formula)
        return found

    def _shape(self, formula: Formula) -> Shape:
        match formula.kind:
            case "schema":
                assert formula.place is not None
                return self._of_schema(formula.place)
            case "values":
                return self._of_values(formula.values)
            case "shape":
                assert formula.shape is not None
                return formula.shape
            case "not":
                return self.shape(formula.parts[0]).negated(self.formulas, self._is_possible)
            case "both":
                found = FULL
                for part in formula.parts:
                    shape = self.shape(part)
                    found = shape if found is FULL else found.meet(shape, self._is_possible)
                    self.questions.spend(sum(1 + each.size // 8 for each in found.objects))
                    self.questions.spend(sum(1 + each.size // 8 for each in found.arrays))
                return found
        return joined([self.shape(part) for part in formula.parts])

    def _of_values(self, values: tuple[Any, ...]) -> Shape:
        found_arrays, found_objects, texts = [], [], []
        numerals: list[int | Decimal] = []
        for value in values:
            if isinstance(value, list):
                found_arrays.append(array_of(value, self.formulas))
            elif isinstance(value, dict):
                found_objects.append(object_of(value, self.formulas))
            elif isinstance(value, str):
                texts.append(value)
            elif value is not None and not isinstance(value, bool):
                numerals.append(value)
        self.questions.spend(sum(1 + len(text) // 2 for text in texts) + 3 * len(numerals))
        integers, fractions = constants(numerals)
        return Shape(
            any(value is None for value in values),
            any(value is True for value in values),
            any(value is False for value in values),
            integers,
            fractions,
            literals(texts),
            tuple(dict.fromkeys(found_arrays)),
            tuple(dict.fromkeys(found_objects)),
        )

    def _of_schema(self, place: Place) -> Shape:
        value = place.value
        if not isinstance(value, dict):
            raise GrammarError(f"{place.pointer or '/'}: is {shown(value)}, expected a schema")
        if "$ref" in value and place.draft <= 7:  # siblings don't count there
            return self.shape(self.formulas.schema(self.follow(place, "$ref")))
        check_keywords(place)
        typed = self.formulas.true
        if not BY_TYPE.isdisjoint(value):
            typed = self.formulas.shape(self._by_type(place))
        parts: dict[Formula, None] = {}
        for keyword in value:
            if keyword in BY_TYPE:
                parts[typed] = None
            elif keyword in APPLICATORS:
                parts[self._applied(place, keyword, typed)] = None
        return self.shape(self.formulas.both(*parts))

    def _by_type(self, place: Place) -> Shape:
        types = self._types(place)
        self.questions.spend(sum(_BOUND for keyword in BOUNDS if keyword in place.value))
        integers, fractions = numbers(place)
        is_number = "number" in types
        return Shape(
            "null" in types,
            "boolean" in types,
            "boolean" in types,
            integers if is_number or "integer" in types else NOTHING,
            fractions if is_number else NOTHING,
            strings(place, self.questions) if "string" in types else NOTHING,
            (arrays(place, self.formulas),) if "array" in types else (),
            (self._objects(place),) if "object" in types else (),
        )

    def _objects(self, place: Place) -> ObjectShape:
        found = objects(place, self.formulas)
        if "propertyNames" not in place.value:
            return found
        names = self.shape(self.formulas.schema(place.below("propertyNames"))).strings
        return found.meet(ObjectShape(rules=((other(names), self.formulas.false),)))

    def _types(self, place: Place) -> tuple[str, ...]:
        given = place.value.get("type", list(_TYPES))
        listed = given if isinstance(given, list) else [given]
        if not listed or any(each not in _TYPES for each in listed):
            raise malformed(place, "type", f"one of {', '.join(_TYPES)}, or a list of them")
        return tuple(listed)

    def _applied(self, place: Place, keyword: str, typed: Formula) -> Formula:
        """What a keyword demands of values that satisfy `typed`, what stands beside it."""
        make, value = self.formulas, place.value[keyword]
        match keyword:
            case "enum":
                if not isinstance(value, list):
                    raise malformed(place, keyword, "a list of values")
                check_constants(place, keyword)
                return make.values(tuple(value))
            case "const":
                check_constants(place, keyword)
                return make.values((value,))
            case "$ref" | "$dynamicRef":
                return make.schema(self.follow(place, keyword))
            case "unevaluatedItems" | "unevaluatedProperties":
                return Evaluation(self, place, keyword).demanded()
            case "not":
                return make.negated(make.schema(place.below(keyword)))
            case "allOf":
                return make.both(*map(make.schema, schemas(place, keyword)))
            case "anyOf":
                return make.either(*map(make.schema, schemas(place, keyword)))
            case "oneOf":
                return self._exactly_one([*map(make.schema, schemas(place, keyword))], typed)
            case "if":
                return self._conditional(place)
        return make.both(*self._dependencies(place, keyword))

    def _exactly_one(self, options: list[Formula], typed: Formula) -> Formula:
        """One of `options` and no other, which is said only of those that may be so too."""
        make = self.formulas
        alone = []
        for option in options:
            others = list(options)
            others.remove(option)
            overlapping = [o for o in others if not self.is_impossible(make.both(typed, option, o))]
            alone.append(make.both(option, *map(make.negated, overlapping)))
        return make.either(*alone)

    def _conditional(self, place: Place) -> Formula:
        make = self.formulas
        found = {
            keyword: make.schema(place.below(keyword)) if keyword in place.value else make.true
            for keyword in ("if", "then", "else")
        }
        return make.either(
            make.both(found["if"], found["then"]),
            make.both(make.negated(found["if"]), found["else"]),
        )

    def _dependencies(self, place: Place, keyword: str) -> list[Formula]:
        """For each name: there is no such member, or what depends on it holds."""
        make = self.formulas
        if not isinstance(place.value[keyword], dict):
            raise malformed(place, keyword, "an object")
        found = []
        for name, each in schemas_by_name(place, keyword).items():
            if isinstance(each.value, list) and keyword != "dependentSchemas":
                if not all(isinstance(needed, str) for needed in each.value):
                    raise malformed(place, keyword, "an object of lists of names")
                if not each.value:
                    continue
                holds = make.shape(self.any_but(objects=needing(each.value, make)))
            elif keyword == "dependentRequired":
                raise malformed(place, keyword, "an object of lists of names")
            else:
                holds = make.schema(each)
            found.append(make.either(self.lacks(name), holds))
        return found

    def lacks(self, name: str) -> Formula:
        """Any value but objects with a member of this name."""
        return self.formulas.shape(self.any_but(objects=without(name, self.formulas)))

    @staticmethod
    def any_but(*, arrays: ArrayShape | None = None, objects: ObjectShape | None = None) -> Shape:
        """Any value, but arrays and objects only of these shapes."""
        return replace(
            FULL,
            arrays=FULL.arrays if arrays is None else (arrays,),
            objects=FULL.objects if objects is None else (objects,),
        )

    def follow(self, place: Place, keyword: str) -> Place:
        """What the reference of a keyword refers to: see `Document.follow`."""
        return self._document.follow(place, keyword)

    def is_impossible(self, formula: Formula) -> bool:
        """Whether no value satisfies `formula` for certain; what isn't looked into may be."""
        known = self._impossible.get(formula)
        if known is not None:
            return known
        if self._depth >= _MAX_LOOKED_INTO or formula in self._under_way:
            return False
        self._depth += 1
        try:
            found = self._has_nothing(self.shape(formula))
        except _Endless:
            return False
        finally:
            self._depth -= 1
        if found or self._depth == 0:  # else what is further down wasn't looked into
            self._impossible[formula] = found
        return found

    def _has_nothing(self, shape: Shape) -> bool:
        if shape.null or shape.true or shape.false:
            return False
        languages = (shape.integers, shape.fractions, shape.strings)
        if not all(map(self.questions.is_empty, languages)):
            return False
        alternatives: tuple[ArrayShape | ObjectShape, ...] = (*shape.arrays, *shape.objects)
        return not any(self._is_possible(each) for each in alternatives)

    def _is_possible(self, shape: ArrayShape | ObjectShape) -> bool:
        self.questions.spend(1 + shape.size // 32)
        if shape.most is not None and shape.least > shape.most:
            return False
        if isinstance(shape, ArrayShape):
            return self._is_possible_array(shape)
        return self._is_possible_object(shape)

    def _is_possible_array(self, shape: ArrayShape) -> bool:
        for count in shape.counts:
            demanded = count.formula
            for span, formula in shape.items:
                if span.first <= count.span.first and span.end is None:
                    demanded = self.formulas.both(demanded, formula)
            if count.least and (shape.most == 0 or self.is_impossible(demanded)):
                return False
        for index in range(min(shape.least, _MAX_LOOKED_INTO)):
            demands = (formula for span, formula in shape.items if span.has(index))
            if self.is_impossible(self.formulas.both(*demands)):
                return False
        return True

    def _is_possible_object(self, shape: ObjectShape) -> bool:
        demands = demands_of(shape)
        for name, formula in shape.needs:
            demanded = formula
            if isinstance(name, str):
                demanded = self.formulas.both(self.member(demands, name), formula)
            if shape.most == 0 or self.is_impossible(demanded):
                return False
        return True

    def member(self, demands: Demands, name: str) -> Formula:
        """What a member of this name satisfies."""
        self.questions.spend(len(demands.patterns))
        by_pattern = (f for names, f in demands.patterns if self.questions.accepts(names, name))
        return self.formulas.both(*demands.rules.get(name, ()), *by_pattern)
