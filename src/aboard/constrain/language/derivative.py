"""Questions to a regular expression, answered by derivatives (Brzozowski, 1964).

The derivative by a letter is what may follow it. Every one that is made costs a step, and steps are
limited in sum, so that a hostile pattern is refused within a time that doesn't depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from aboard.constrain.language import characters
from aboard.constrain.language.expression import (
    EMPTY,
    NOTHING,
    Automaton,
    Both,
    Characters,
    Choice,
    Expression,
    Other,
    Repeat,
    Sequence,
    both,
    choice,
    other,
    repeat,
    sequence,
)
from aboard.errors import GrammarError

MAX_STEPS = 200_000
"""Of the derivatives of one schema together; about a second."""


class Questions:
    """Answers questions, and remembers what it found out.

    Parameters
    ----------
    steps : int
        Work it may do in all: the parts of the derivatives it makes.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps_left = steps
        self._derivatives: dict[tuple[Expression, int], Expression] = {}
        self._letters: dict[Expression, frozenset[int]] = {}
        self._empty: dict[Expression, bool] = {}

    def spend(self, steps: int = 1) -> None:
        """Count work.

        Raises
        ------
        GrammarError
            There was too much of it.
        """
        self.steps_left -= steps
        if self.steps_left < 0:
            raise GrammarError(
                "the schema or pattern takes too much work to compile",
                hint="Make it simpler: fewer alternatives, shorter repetitions, fewer patterns.",
            )

    def accepts(self, expression: Expression, text: str) -> bool:
        """Whether `text` is of `expression`."""
        for letter in text:
            expression = self.after(expression, ord(letter))
            if expression is NOTHING:
                return False
        return expression.nullable

    def is_empty(self, expression: Expression) -> bool:
        """Whether no text is of `expression`."""
        if expression.nullable or expression.plain:
            return False
        known = self._empty.get(expression)
        if known is None:
            known = self._empty[expression] = self._reaches_nothing(expression)
        return known

    def _reaches_nothing(self, expression: Expression) -> bool:
        seen = {expression}
        waiting = [expression]
        while waiting:
            at = waiting.pop()
            for letter in self.first_letters(at):
                following = self.after(at, letter)
                if following is NOTHING or following in seen:
                    continue
                if following.nullable or following.plain or self._empty.get(following) is False:
                    return False
                seen.add(following)
                waiting.append(following)
        for each in seen:
            self._empty[each] = True
        return True

    def within(self, one: Expression, wider: Expression) -> bool:
        """Whether every text of the one is of the wider."""
        return self.is_empty(both(one, other(wider)))

    def apart(self, one: Expression, another: Expression) -> bool:
        """Whether no text is of both."""
        return self.is_empty(both(one, another))

    def texts(self, expression: Expression, most: int) -> list[str] | None:
        """All texts of `expression`, where they are at most `most`; None where they are more."""
        found: list[str] = []
        for text in self._enumerate(expression, most):
            found.append(text)
            if len(found) > most:
                return None
        return found if self._finished else None

    def _enumerate(self, expression: Expression, most: int) -> Iterator[str]:
        self._finished = True
        waiting = [("", expression)]
        n_open = 0
        while waiting:
            n_open += 1
            if n_open > 64 * (most + 1):
                self._finished = False
                return
            text, at = waiting.pop()
            if at.nullable:
                yield text
            below = []
            letters = sorted(self.first_letters(at))
            for first, following in zip(letters, [*letters[1:], characters.LAST + 1], strict=True):
                rest = self.after(at, first)
                if self.is_empty(rest):
                    continue
                if following - first > most:
                    self._finished = False
                    return
                codes = characters.shared(((first, following - 1),), characters.EVERY)
                below += [
                    (text + chr(code), rest) for low, high in codes for code in range(low, high + 1)
                ]
            waiting += reversed(below)

    def first_letters(self, expression: Expression) -> frozenset[int]:
        """A letter of each class whose letters lead to the same derivative."""
        known = self._letters.get(expression)
        if known is None:
            known = self._letters[expression] = self._first_letters(expression)
        return known

    def _first_letters(self, expression: Expression) -> frozenset[int]:
        cuts: set[int] = {0}
        match expression:
            case Characters():
                _cut(cuts, expression.ranges)
            case Sequence():
                for part in expression.parts:
                    cuts |= self.first_letters(part)
                    if not part.nullable:
                        break
            case Choice() | Both():
                for part in expression.parts:
                    cuts |= self.first_letters(part)
            case Repeat() | Other():
                return self.first_letters(expression.inner)
            case Automaton():
                for ranges, _ in expression.table.rows[expression.state]:
                    _cut(cuts, ranges)
        return frozenset(cuts - {0xD800})  # surrogates, which are no letters

    def after(self, expression: Expression, letter: int) -> Expression:
        """What may follow `letter`, a code point, at the beginning of a text of `expression`."""
        key = (expression, letter)
        known = self._derivatives.get(key)
        if known is None:
            self.spend()
            known = self._derivatives[key] = self._after(expression, letter)
        return known

    def _after(self, expression: Expression, letter: int) -> Expression:
        match expression:
            case Characters():
                return EMPTY if characters.contains(expression.ranges, letter) else NOTHING
            case Sequence():
                return self._after_sequence(expression.parts, letter)
            case Choice():
                return choice(*(self.after(part, letter) for part in expression.parts))
            case Both():
                return both(*(self.after(part, letter) for part in expression.parts))
            case Other():
                return other(self.after(expression.inner, letter))
            case Repeat():
                return self._after_repeat(expression, letter)
            case Automaton():
                return _after_automaton(expression, letter)
        return NOTHING

    def _after_sequence(self, parts: tuple[Expression, ...], letter: int) -> Expression:
        self.spend(len(parts) // 8)
        options = []
        for at, part in enumerate(parts):
            options.append(sequence(self.after(part, letter), *parts[at + 1 :]))
            if not part.nullable:
                break
        return choice(*options)

    def _after_repeat(self, expression: Repeat, letter: int) -> Expression:
        low = max(expression.low - 1, 0)
        high = None if expression.high is None else expression.high - 1
        following = self.after(expression.inner, letter)
        return sequence(following, repeat(expression.inner, low, high))


def automaton(table: Automaton, state: int) -> Expression:
    """The texts that lead from `state` of another automaton's table to an accepting one."""
    found = table.table
    return Automaton((found, state), nullable=state in found.accepting, plain=False)


def _after_automaton(expression: Automaton, letter: int) -> Expression:
    for ranges, state in expression.table.rows[expression.state]:
        if characters.contains(ranges, letter):
            return automaton(expression, state)
    return NOTHING


def _cut(cuts: set[int], ranges: characters.Ranges) -> None:
    for first, last in ranges:
        cuts.add(first)
        if last < characters.LAST:
            cuts.add(last + 1)
