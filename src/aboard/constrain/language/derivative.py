"""Questions to a regular expression, answered by derivatives (Brzozowski, 1964).

The derivative by a letter is what may follow it. Every one that is made costs a step, and steps are
limited in sum, so that a hostile pattern is refused within a time that doesn't depend on it.
"""

from __future__ import annotations

import itertools

from aboard.constrain.language import characters
from aboard.constrain.language.characters import Ranges
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
        self._same: dict[Expression, Expression] = {}  # what is equal becomes the same object
        self._sets: dict[Expression, frozenset[Ranges]] = {}
        self._letters: dict[frozenset[Ranges], tuple[int, ...]] = {}
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
            known = self._empty[expression] = self._is_empty(expression)
        return known

    def know_filled(self, expression: Expression) -> None:
        """Remember that some text is of `expression`: it needn't be looked for."""
        self._empty[expression] = False

    def _is_empty(self, expression: Expression) -> bool:
        match expression:
            case Choice():
                return all(self.is_empty(part) for part in expression.parts)
            case Sequence():
                return any(self.is_empty(part) for part in expression.parts)
            case Repeat():
                return self.is_empty(expression.inner)
        return self._reaches_nothing(expression)

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

    def searches(self, expression: Expression) -> bool:
        """Whether letters may be skipped up to a place that they don't tell, as by `.*a`."""
        match expression:
            case Sequence():
                return any(map(self.searches, expression.parts)) or any(
                    isinstance(part, Repeat) and part.high is None and self._meet(part.inner, then)
                    for part, then in itertools.pairwise(expression.parts)
                )
            case Choice() | Both():
                return any(map(self.searches, expression.parts))
            case Repeat() | Other():
                return self.searches(expression.inner)
        return False

    def _meet(self, one: Expression, another: Expression) -> bool:
        """Whether texts of both may begin with the same letter."""
        return any(
            characters.shared(mine, theirs)
            for mine in self._first_sets(one)
            for theirs in self._first_sets(another)
        )

    def require_few_states(self, expression: Expression) -> None:
        """Walk through all that may follow beginnings of texts of `expression`.

        Raises
        ------
        GrammarError
            It is too much.
        """
        seen = {expression}
        waiting = [expression]
        while waiting:
            at = waiting.pop()
            for letter in self.first_letters(at):
                following = self.after(at, letter)
                if following is NOTHING or following.plain or following in seen:
                    continue
                seen.add(following)
                waiting.append(following)

    def within(self, one: Expression, wider: Expression) -> bool:
        """Whether every text of the one is of the wider."""
        return self.is_empty(both(one, other(wider)))

    def apart(self, one: Expression, another: Expression) -> bool:
        """Whether no text is of both."""
        return self.is_empty(both(one, another))

    def texts(self, expression: Expression, most: int) -> list[str] | None:
        """All texts of `expression`, where they are at most `most`; None where they may be more."""
        found: list[str] = []
        waiting = [("", expression)]
        for _ in range(64 * (most + 1)):
            if not waiting:
                return found
            self.spend()
            text, at = waiting.pop()
            if at.nullable:
                found.append(text)
            below = self._one_longer(text, at, most)
            if below is None:
                return None
            waiting += reversed(below)
            if len(found) + len(waiting) > most:  # each that waits is the beginning of a text
                return None
        return None

    def _one_longer(
        self, text: str, at: Expression, most: int
    ) -> list[tuple[str, Expression]] | None:
        """Texts one letter longer that lead somewhere; None where they are more than `most`."""
        edges = {0, characters.LAST + 1}
        for ranges in self._first_sets(at):
            edges |= {edge for first, last in ranges for edge in (first, last + 1)}
        ordered = sorted(edges)
        below: list[tuple[str, Expression]] = []
        for first, end in itertools.pairwise(ordered):
            rest = self.after(at, first)
            if rest is NOTHING or self.is_empty(rest):
                continue
            codes = characters.shared(((first, end - 1),), characters.EVERY)
            if len(below) + characters.size(codes) > most:
                return None
            below += [
                (text + chr(code), rest) for low, high in codes for code in range(low, high + 1)
            ]
        return below

    def first_letters(self, expression: Expression) -> tuple[int, ...]:
        """A letter of each class whose letters lead to the same derivative."""
        sets = self._first_sets(expression)
        known = self._letters.get(sets)
        if known is None:
            self.spend(sum(map(len, sets)) * len(sets) // 32)
            known = self._letters[sets] = _representatives(sets)
        return known

    def _first_sets(self, expression: Expression) -> frozenset[Ranges]:
        """The sets of letters that decide what the derivative by a letter is."""
        known = self._sets.get(expression)
        if known is None:
            known = self._sets[expression] = self._found_sets(expression)
        return known

    def _found_sets(self, expression: Expression) -> frozenset[Ranges]:
        found: set[Ranges] = set()
        match expression:
            case Characters():
                found.add(expression.ranges)
            case Sequence():
                for part in expression.parts:
                    found |= self._first_sets(part)
                    if not part.nullable:
                        break
            case Choice() | Both():
                for part in expression.parts:
                    found |= self._first_sets(part)
            case Repeat() | Other():
                return self._first_sets(expression.inner)
            case Automaton():
                found.update(ranges for ranges, _ in expression.table.rows[expression.state])
        return frozenset(found)

    def after(self, expression: Expression, letter: int) -> Expression:
        """What may follow `letter`, a code point, at the beginning of a text of `expression`."""
        key = (expression, letter)
        known = self._derivatives.get(key)
        if known is None:
            self.spend()
            made = self._after(expression, letter)
            known = self._derivatives[key] = self._same.setdefault(made, made)
        return known

    def _after(self, expression: Expression, letter: int) -> Expression:
        match expression:
            case Characters():
                return EMPTY if characters.contains(expression.ranges, letter) else NOTHING
            case Sequence():
                return self._after_sequence(expression.parts, letter)
            case Choice():
                self.spend(len(expression.parts))
                return choice(*(self.after(part, letter) for part in expression.parts))
            case Both():
                self.spend(len(expression.parts))
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


def _representatives(sets: frozenset[Ranges]) -> tuple[int, ...]:
    """For each way in which letters belong to the sets or not: the first letter of that way."""
    cuts = {0}
    for ranges in sets:
        for first, last in ranges:
            cuts |= {first, last + 1}
    cuts -= {0xD800, characters.LAST + 1}  # surrogates, which are no letters, and none at all
    ordered = sorted(sets)
    found: dict[tuple[bool, ...], int] = {}
    for letter in sorted(cuts):
        way = tuple(characters.contains(ranges, letter) for ranges in ordered)
        found.setdefault(way, letter)
    return tuple(found.values())
