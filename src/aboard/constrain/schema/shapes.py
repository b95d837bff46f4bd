"""Shapes: what a value may be, type by type, in a form that can be joined, met and negated.

Scalars are regular languages of their texts. Arrays and objects are alternatives, each of them a
list of demands that all hold. What is demanded of items and members are formulas, looked into when
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from aboard.constrain.language.expression import ANY, NOTHING, Expression, both, choice, minus
from aboard.constrain.language.numbers import FRACTIONS, INTEGERS
from aboard.errors import GrammarError, UnsupportedSchema

if TYPE_CHECKING:
    from aboard.constrain.schema.formula import Formula, Formulas

One = TypeVar("One")
Alternative = TypeVar("Alternative", "ArrayShape", "ObjectShape")

MAX_ALTERNATIVES = 2_000

Names = str | Expression
"""A member's name, or a language of names."""


@dataclass(frozen=True, slots=True)
class Span:
    """Indices of items, from `first` on and below `end`; without end where that is None."""

    first: int = 0
    end: int | None = None

    def has(self, index: int) -> bool:
        """Whether the index is in it."""
        return self.first <= index and (self.end is None or index < self.end)


@dataclass(frozen=True, slots=True)
class Count:
    """Of the items in a span, so many satisfy a formula."""

    span: Span
    formula: Formula
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Arrays of which all of this holds.

    Attributes
    ----------
    items : tuple of (Span, Formula)
        What all items of a span satisfy.
    counts : tuple of Count
    least, most : int
        How many items there are.
    unique : str or None
        Where a schema says that no two items are equal: its pointer.
    """

    items: tuple[tuple[Span, Formula], ...] = ()
    counts: tuple[Count, ...] = ()
    least: int = 0
    most: int | None = None
    unique: str | None = None

    @property
    def size(self) -> int:
        """How many demands there are."""
        return len(self.items) + len(self.counts)

    @property
    def is_free(self) -> bool:
        """Whether it demands nothing."""
        return self == _ANY_ARRAY

    def meet(self, other: ArrayShape) -> ArrayShape:
        """Arrays of both shapes."""
        return ArrayShape(
            _distinct(self.items, other.items),
            _distinct(self.counts, other.counts),
            max(self.least, other.least),
            _least(self.most, other.most),
            self.unique or other.unique,
        )

    def opposites(self, formulas: Formulas) -> Iterator[ArrayShape]:
        """Shapes of which the arrays that aren't of this shape have at least one."""
        for span, formula in self.items:
            yield ArrayShape(counts=(Count(span, formulas.negated(formula), 1, None),))
        for count in self.counts:
            if count.least == 1:
                yield ArrayShape(items=((count.span, formulas.negated(count.formula)),))
            elif count.least:
                yield ArrayShape(counts=(replace(count, least=0, most=count.least - 1),))
            if count.most is not None:
                yield ArrayShape(counts=(replace(count, least=count.most + 1, most=None),))
        if self.least:
            yield ArrayShape(most=self.least - 1)
        if self.most is not None:
            yield ArrayShape(least=self.most + 1)
        if self.unique is not None:
            raise UnsupportedSchema(
                f"{self.unique}: uniqueItems can't be enforced where it is negated",
                keyword="uniqueItems",
                pointer=self.unique,
            )


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """Objects of which all of this holds.

    Attributes
    ----------
    rules : tuple of (Names, Formula)
        What every member of such a name satisfies.
    needs : tuple of (Names, Formula)
        There is a member of such a name that satisfies it.
    least, most : int
        How many members there are.
    order : tuple of str
        Names in the order in which they are written.
    """

    rules: tuple[tuple[Names, Formula], ...] = ()
    needs: tuple[tuple[Names, Formula], ...] = ()
    least: int = 0
    most: int | None = None
    order: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many demands there are."""
        return len(self.rules) + len(self.needs) + len(self.order)

    @property
    def is_free(self) -> bool:
        """Whether it demands nothing."""
        return not (self.rules or self.needs or self.least) and self.most is None

    def meet(self, other: ObjectShape) -> ObjectShape:
        """Objects of both shapes."""
        return ObjectShape(
            _distinct(self.rules, other.rules),
            _distinct(self.needs, other.needs),
            max(self.least, other.least),
            _least(self.most, other.most),
            _distinct(self.order, other.order),
        )

    def opposites(self, formulas: Formulas) -> Iterator[ObjectShape]:
        """Shapes of which the objects that aren't of this shape have at least one."""
        for names, formula in self.rules:
            yield ObjectShape(needs=((names, formulas.negated(formula)),), order=self.order)
        for names, formula in self.needs:
            yield ObjectShape(rules=((names, formulas.negated(formula)),), order=self.order)
        if self.least:
            yield ObjectShape(most=self.least - 1, order=self.order)
        if self.most is not None:
            yield ObjectShape(least=self.most + 1, order=self.order)


@dataclass(frozen=True, slots=True)
class Demands:
    """What objects of a shape are asked for, by name.

    Attributes
    ----------
    rules, needs : dict of str to list of Formula
        Those of one name.
    patterns : list of (Expression, Formula)
        Rules of languages of names.
    """

    rules: dict[str, list[Formula]]
    needs: dict[str, list[Formula]]
    patterns: list[tuple[Expression, Formula]]


def demands_of(shape: ObjectShape) -> Demands:
    """The demands of a shape."""
    found = Demands({}, {}, [])
    for names, formula in shape.rules:
        if isinstance(names, str):
            found.rules.setdefault(names, []).append(formula)
        else:
            found.patterns.append((names, formula))
    for names, formula in shape.needs:
        if isinstance(names, str):
            found.needs.setdefault(names, []).append(formula)
    return found


_ANY_ARRAY = ArrayShape()

Keep = Callable[[ArrayShape | ObjectShape], bool]
"""Whether an alternative may have a value at all."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be.

    Attributes
    ----------
    null, true, false : bool
        Whether it may be that.
    integers, fractions, strings : Expression
        Texts it may be: of numbers as `language.numbers` has them, of strings without their
        quotation marks.
    arrays, objects : tuple
        Alternatives.
    """

    null: bool = False
    true: bool = False
    false: bool = False
    integers: Expression = NOTHING
    fractions: Expression = NOTHING
    strings: Expression = NOTHING
    arrays: tuple[ArrayShape, ...] = ()
    objects: tuple[ObjectShape, ...] = ()

    def meet(self, other: Shape, keep: Keep) -> Shape:
        """What is of both shapes; alternatives that aren't to `keep` are left out."""
        return Shape(
            self.null and other.null,
            self.true and other.true,
            self.false and other.false,
            both(self.integers, other.integers),
            both(self.fractions, other.fractions),
            both(self.strings, other.strings),
            _met(self.arrays, other.arrays, keep),
            _met(self.objects, other.objects, keep),
        )

    def negated(self, formulas: Formulas, keep: Keep) -> Shape:
        """What isn't of this shape; alternatives that aren't to `keep` are left out."""
        arrays: tuple[ArrayShape, ...] = (ArrayShape(),)
        for array in self.arrays:
            arrays = _met(arrays, tuple(array.opposites(formulas)), keep)
        objects: tuple[ObjectShape, ...] = (ObjectShape(),)
        for shape in self.objects:
            objects = _met(objects, tuple(shape.opposites(formulas)), keep)
        return Shape(
            not self.null,
            not self.true,
            not self.false,
            minus(INTEGERS, self.integers),
            minus(FRACTIONS, self.fractions),
            minus(ANY, self.strings),
            arrays,
            objects,
        )


def joined(shapes: list[Shape]) -> Shape:
    """What is of any of the shapes."""
    return Shape(
        any(shape.null for shape in shapes),
        any(shape.true for shape in shapes),
        any(shape.false for shape in shapes),
        choice(*(shape.integers for shape in shapes)),
        choice(*(shape.fractions for shape in shapes)),
        choice(*(shape.strings for shape in shapes)),
        _alternatives(each for shape in shapes for each in shape.arrays),
        _alternatives(each for shape in shapes for each in shape.objects),
    )


FULL = Shape(
    True, True, True, INTEGERS, FRACTIONS, ANY, arrays=(ArrayShape(),), objects=(ObjectShape(),)
)
"""Any value."""


def _met(
    ones: tuple[Alternative, ...], others: tuple[Alternative, ...], keep: Keep
) -> tuple[Alternative, ...]:
    if len(ones) * len(others) > MAX_ALTERNATIVES:
        raise GrammarError(
            f"the schema means more than {MAX_ALTERNATIVES} alternatives in one place",
            hint="Use fewer of allOf, anyOf, oneOf, not and dependencies at once.",
        )
    met = (one.meet(other) for one in ones for other in others)
    return _alternatives(each for each in met if keep(each))


def _alternatives(found: Iterable[Alternative]) -> tuple[Alternative, ...]:
    kept = tuple(dict.fromkeys(found))
    free = [each for each in kept if each.is_free]
    return tuple(free[:1]) or kept


def _distinct(one: tuple[One, ...], other: tuple[One, ...]) -> tuple[One, ...]:
    return one if not other else tuple(dict.fromkeys((*one, *other)))


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
