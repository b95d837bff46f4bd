"""JSON texts of strings, as regular languages: each string has one spelling.

Characters stand for themselves, but for the quotation mark, the backslash and control characters,
which are escaped as most programs do. So what excludes a string excludes its only spelling.
"""

from __future__ import annotations

import json

from aboard.constrain.language import characters
from aboard.constrain.language.characters import Ranges
from aboard.constrain.language.expression import (
    ANY,
    EMPTY,
    NOTHING,
    Both,
    Characters,
    Choice,
    Expression,
    Other,
    Repeat,
    Sequence,
    both,
    choice,
    letters,
    literal,
    literals,
    other,
    repeat,
    sequence,
)

_ESCAPED = characters.union(((0, 31),), characters.of('"\\'))


class Spelling:
    """Spells expressions out, each once."""

    def __init__(self) -> None:
        self._known: dict[Expression, Expression] = {}
        self._letter = self._characters(characters.EVERY)
        self._any = repeat(self._letter, 0, None)

    def quoted(self, expression: Expression) -> Expression:
        """The JSON texts of the strings of `expression`, in quotation marks.

        What is joined by "both" and "not" has quotation marks of its own: llguidance is much faster
        where these operators are outermost.
        """
        match expression:
            case Both():
                return both(*(self.quoted(part) for part in expression.parts))
            case Other():
                return both(self.quoted(ANY), other(self.quoted(expression.inner)))
        return sequence(literal('"'), self.inside(expression), literal('"'))

    def inside(self, expression: Expression) -> Expression:
        """The same without quotation marks."""
        known = self._known.get(expression)
        if known is None:
            known = self._known[expression] = self._inside(expression)
        return known

    def _inside(self, expression: Expression) -> Expression:
        match expression:
            case Characters():
                return self._characters(expression.ranges)
            case Sequence():
                return sequence(*(self.inside(part) for part in expression.parts))
            case Choice():
                return choice(*(self.inside(part) for part in expression.parts))
            case Both():
                return both(*(self.inside(part) for part in expression.parts))
            case Repeat():
                return repeat(self.inside(expression.inner), expression.low, expression.high)
            case Other():
                return both(self._any, other(self.inside(expression.inner)))
        assert expression in (EMPTY, NOTHING)
        return expression

    @staticmethod
    def _characters(ranges: Ranges) -> Expression:
        escaped = characters.shared(ranges, _ESCAPED)
        codes = [code for first, last in escaped for code in range(first, last + 1)]
        spelled = literals(json.dumps(chr(code))[1:-1] for code in codes)
        return choice(letters(characters.minus(ranges, _ESCAPED)), spelled)
