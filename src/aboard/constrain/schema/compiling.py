"""A JSON Schema made a grammar of the JSON texts that it accepts."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import (
    NOTHING,
    Expression,
    choice,
    literal,
    optional,
    sequence,
)
from aboard.constrain.language.numbers import FRACTIONS, INTEGERS, NUMBERS, POINT_ZEROS
from aboard.constrain.language.spelling import Spelling
from aboard.constrain.schema.array_writer import ArrayWriter
from aboard.constrain.schema.document import Document, Schema
from aboard.constrain.schema.formula import Formula
from aboard.constrain.schema.meaning import Meaning
from aboard.constrain.schema.object_writer import ObjectWriter
from aboard.constrain.schema.productions import Node, Productions, Rule, Text, pick
from aboard.constrain.schema.shapes import Shape
from aboard.errors import GrammarError

_MAX_LISTED = 8
_START = 400  # steps: what the smallest schema takes, for a grammar may hold many


def compile_schema(
    schema: Schema,
    others: Mapping[str, Schema] | None = None,
    *,
    name: str = "start",
    questions: Questions | None = None,
) -> str:
    """The rules and terminals of a Lark grammar whose rule `name` is what `schema` accepts.

    All other names begin with it. `questions` bounds the work of several schemas together.

    Raises
    ------
    UnsupportedSchema
        A keyword can't be enforced.
    GrammarError
        The schema is none, is too large, takes too much work, or accepts nothing.
    """
    questions = Questions() if questions is None else questions
    questions.spend(_START)
    document = Document(schema, others or {})
    meaning = Meaning(document, questions)
    writer = _Writer(meaning, Productions(questions), document)
    return writer.lark(meaning.root(), name)


class _Writer:
    def __init__(self, meaning: Meaning, rules: Productions, document: Document) -> None:
        self._meaning = meaning
        self._rules = rules
        self._precision = document.precision
        # In draft 4 1.0 is no integer.
        self._zeros = NOTHING if document.root.draft == 4 else POINT_ZEROS
        self._spelling = Spelling()

    def lark(self, formula: Formula, name: str) -> str:
        start = self._value(formula)
        self._rules.complete()
        lark = self._rules.lark(start, name)
        if lark is None:
            raise GrammarError(
                "the schema accepts no value", hint="Look for demands that contradict each other."
            )
        return lark

    def _value(self, formula: Formula) -> Rule:
        """The rule of the JSON texts of a formula's values."""
        return self._rules.rule(formula, lambda: self._body(formula))

    def _body(self, formula: Formula) -> Node:
        shape = self._meaning.shape(formula)
        parts = self._meaning, self._rules, self._value, self._spelling
        options: list[Node] = [Text(self._scalars(shape))]
        options += [ArrayWriter(each, *parts).node() for each in shape.arrays]
        options += [ObjectWriter(each, *parts).node() for each in shape.objects]
        return pick(*options)

    def _scalars(self, shape: Shape) -> Expression:
        """The texts of all values but arrays and objects: one terminal, as they are told apart."""
        words = (("null", shape.null), ("true", shape.true), ("false", shape.false))
        strings = NOTHING
        if not self._meaning.questions.is_empty(shape.strings):
            strings = self._spelling.quoted(shape.strings)
            self._meaning.questions.know_filled(strings)
        return choice(
            *(literal(word) for word, is_there in words if is_there),
            self._numbers(shape),
            strings,
        )

    def _numbers(self, shape: Shape) -> Expression:
        questions = self._meaning.questions
        if shape.integers == INTEGERS and shape.fractions == FRACTIONS:
            return NUMBERS
        integers = self._precision.cut_integers(shape.integers)
        if questions.is_empty(shape.fractions):
            return integers
        if questions.texts(shape.fractions, _MAX_LISTED) is not None:  # of bounded length
            return choice(integers, shape.fractions)
        return self._precision.cut(
            choice(sequence(shape.integers, optional(self._zeros)), shape.fractions)
        )
