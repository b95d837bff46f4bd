"""Arrays of a shape as productions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from aboard.constrain.language.expression import literal
from aboard.constrain.language.spelling import Spelling
from aboard.constrain.schema.formula import Formula
from aboard.constrain.schema.meaning import Meaning
from aboard.constrain.schema.productions import (
    NIL,
    NONE,
    Again,
    Distinct,
    Node,
    Productions,
    Rule,
    Text,
    chain,
    maybe,
    pick,
)
from aboard.constrain.schema.punctuation import CLOSE_ARRAY, COMMA, OPEN_ARRAY
from aboard.constrain.schema.shapes import ArrayShape, Count, Span
from aboard.errors import UnsupportedSchema

MAX_DISTINCT = 60
"""Values of which each may come once: they are bits of a 64-bit number."""

Value = Callable[[Formula], Rule]


class ArrayWriter:
    """Writes arrays of one shape.

    Parameters
    ----------
    shape : ArrayShape
        What they are.
    meaning : Meaning
        Of the schema.
    rules : Productions
        Where rules are made.
    value : callable
        The rule of a formula's values.
    spelling : Spelling
        How strings are written.
    """

    def __init__(
        self,
        shape: ArrayShape,
        meaning: Meaning,
        rules: Productions,
        value: Value,
        spelling: Spelling,
    ) -> None:
        self._shape = shape
        self._meaning = meaning
        self._rules = rules
        self._value = value
        self._spelling = spelling
        bounds = [span for span, _ in shape.items] + [count.span for count in shape.counts]
        ends = [edge for span in bounds for edge in (span.first, span.end) if edge is not None]
        self._n_apart = max(ends, default=0)  # from there on all items are alike
        self._mark = rules.mark(shape)
        self._alone: dict[int, list[Formula]] = {}  # what single items satisfy, and what others
        self._spans: list[tuple[Span, Formula]] = []
        for span, formula in shape.items:
            if span.end == span.first + 1:
                self._alone.setdefault(span.first, []).append(formula)
            else:
                self._spans.append((span, formula))

    def node(self) -> Node:
        """All of an array, with its brackets."""
        if self._shape.unique is not None and self._shape.most not in (0, 1):
            inner: Node = self._distinct(self._shape.unique)
        elif self._shape.counts:
            inner = self._counted(0, 0, (0,) * len(self._shape.counts), begun=False)
        else:
            inner = self._items()
        return chain(OPEN_ARRAY, inner, CLOSE_ARRAY)

    def _item(self, index: int) -> Formula:
        """What the item at `index` satisfies, counts aside."""
        self._meaning.questions.spend(len(self._spans) // 8)
        demands = (formula for span, formula in self._spans if span.has(index))
        return self._meaning.formulas.both(*self._alone.get(index, ()), *demands)

    def _items(self) -> Node:
        least, most = self._shape.least, self._shape.most
        if most == 0:
            return NIL if least == 0 else NONE
        all_ = chain(self._value(self._item(0)), self._behind(1))
        return maybe(all_) if least == 0 else all_

    def _behind(self, index: int) -> Node:
        """What follows when `index` items are there, at least one."""
        least, most = self._shape.least, self._shape.most
        if most is not None and index >= most:
            return NIL
        further = chain(COMMA, self._value(self._item(index)))
        if index >= self._n_apart:
            return Again(further, max(least - index, 0), None if most is None else most - index)
        rest = self._rules.rule(("items", self._mark, index + 1), lambda: self._behind(index + 1))
        all_ = chain(further, rest)
        return all_ if index < least else maybe(all_)

    def _counted(self, index: int, n_items: int, counts: tuple[int, ...], *, begun: bool) -> Rule:
        """What follows `n_items`, of which `counts` satisfy each of the counted formulas.

        Numbers beyond what still decides something aren't told apart; `begun`: there are any.
        """
        key = ("counted", self._mark, index, n_items, counts, begun)
        return self._rules.rule(key, lambda: self._counted_body(index, n_items, counts, begun))

    def _counted_body(self, index: int, n_items: int, counts: tuple[int, ...], begun: bool) -> Node:
        shape = self._shape
        options: list[Node] = []
        enough = all(n >= count.least for n, count in zip(counts, shape.counts, strict=True))
        if n_items >= shape.least and enough:
            options.append(NIL)
        if shape.most is None or n_items < shape.most:
            cap = shape.least if shape.most is None else shape.most
            following = min(index + 1, self._n_apart), min(n_items + 1, cap)
            ways = [
                self._ways(count, index, n) for n, count in zip(counts, shape.counts, strict=True)
            ]
            for way in product(*ways):
                self._meaning.questions.spend(10)
                item = self._meaning.formulas.both(self._item(index), *(f for f, _ in way))
                rest = self._counted(*following, tuple(n for _, n in way), begun=True)
                comma = COMMA if begun else NIL
                options.append(chain(comma, self._value(item), rest))
        return pick(*options)

    def _ways(self, count: Count, index: int, n: int) -> list[tuple[Formula, int]]:
        """What the item may be for a count that stands at `n`, and where that stands then."""
        make = self._meaning.formulas
        if not count.span.has(index) or (count.most is None and n >= count.least):
            return [(make.true, n)]
        counted = [(count.formula, n + 1)] if count.most is None or n < count.most else []
        uncounted = make.true if count.most is None else make.negated(count.formula)
        return [*counted, (uncounted, n)]

    def _distinct(self, pointer: str) -> Node:
        """Items of which no two are equal; they must be of a few values."""
        if self._shape.counts:
            raise self._unsupported(pointer, "beside contains")
        if self._n_apart:
            return self._differing(pointer, 0, frozenset())
        texts = self._texts(pointer, 0)
        most = len(texts) if self._shape.most is None else min(self._shape.most, len(texts))
        body = Distinct(tuple(texts), COMMA, self._shape.least, most)
        return self._rules.rule(("distinct", self._mark), lambda: body)

    def _differing(self, pointer: str, n_items: int, used: frozenset[Text]) -> Rule:
        """What follows `n_items`, whose texts are `used`."""
        key = ("differing", self._mark, n_items, used)
        return self._rules.rule(key, lambda: self._differing_body(pointer, n_items, used))

    def _differing_body(self, pointer: str, n_items: int, used: frozenset[Text]) -> Node:
        options: list[Node] = [NIL] if n_items >= self._shape.least else []
        if self._shape.most is None or n_items < self._shape.most:
            for text in self._texts(pointer, n_items):
                self._meaning.questions.spend(10)
                if text not in used:
                    rest = self._differing(pointer, n_items + 1, used | {text})
                    options.append(chain(COMMA if n_items else NIL, text, rest))
        return pick(*options)

    def _texts(self, pointer: str, index: int) -> list[Text]:
        """The JSON texts of the item at `index`, which must be a few."""
        shape = self._meaning.shape(self._item(index))
        questions = self._meaning.questions
        integers = questions.texts(shape.integers, MAX_DISTINCT)
        strings = questions.texts(shape.strings, MAX_DISTINCT)
        nested = (*shape.arrays, *shape.objects)
        others = nested or not questions.is_empty(shape.fractions)
        if integers is None or strings is None or others:
            raise self._unsupported(pointer, "of items of more than a few values")
        words = [("null", shape.null), ("true", shape.true), ("false", shape.false)]
        texts = [Text(literal(word)) for word, is_there in words if is_there]
        texts += [Text(literal(digits)) for digits in integers]
        texts += [Text(self._spelling.quoted(literal(text))) for text in strings]
        if len(texts) > MAX_DISTINCT:
            raise self._unsupported(pointer, f"of items of more than {MAX_DISTINCT} values")
        return texts

    @staticmethod
    def _unsupported(pointer: str, why: str) -> UnsupportedSchema:
        return UnsupportedSchema(
            f"{pointer}: uniqueItems isn't enforced {why}",
            keyword="uniqueItems",
            pointer=pointer,
            hint="Enumerate the items' values, or check for repeated ones in your program.",
        )
