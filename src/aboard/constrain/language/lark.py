"""Regular languages written down as terminals of a Lark grammar, for llguidance.

What one regular expression of its (Rust's syntax) can say becomes one. "Both" and "not" exist
between terminals only, so what they join has terminals of its own, each written once.
"""

from __future__ import annotations

from aboard.constrain.language import characters
from aboard.constrain.language.characters import Ranges
from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import (
    ANY,
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
    Table,
)
from aboard.errors import GrammarError

MAX_STATES = 20
"""Of an automaton that is written as a regular expression: it grows by the cube of them."""

MAX_UNSEEN = 2
"""Parts of an intersection that search, of which llguidance gets it as it is.

It looks for a text of one in a time that may double with each letter. Of more parts all that may
follow is walked through here, within the steps that there are; what takes more is refused.
"""

_PLAIN = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _:,;'\"=<>@%!`~#&"
)


class Terminals:
    """The terminals of one grammar, under names that begin with `name`.

    Attributes
    ----------
    lines : list of str
        Their definitions.
    """

    def __init__(self, name: str = "text") -> None:
        self._prefix = name.upper()
        self.lines: list[str] = []
        self._names: dict[object, str] = {}
        self._questions = Questions()

    def name(self, expression: Expression) -> str:
        """The terminal that matches the texts of `expression`."""
        known = self._names.get(expression)
        if known is None:
            known = self._names[expression] = self._define(self._definition(expression))
        return known

    def _define(self, definition: str) -> str:
        name = f"{self._prefix}-{len(self.lines)}"
        self.lines.append(f"{name}: {definition}")
        return name

    def _definition(self, expression: Expression) -> str:
        if expression.plain:
            return _literal(expression)
        match expression:
            case Sequence():
                return " ".join(self._part(part) for part in expression.parts)
            case Choice():
                return " | ".join(self._part(part) for part in expression.parts)
            case Both():
                if sum(map(self._questions.searches, expression.parts)) > MAX_UNSEEN:
                    self._questions.require_few_states(expression)
                return " & ".join(self._part(part) for part in expression.parts)
            case Other():
                return f"~{self.name(expression.inner)}"
            case Repeat():
                high = "" if expression.high is None else expression.high
                return f"{self.name(expression.inner)}{{{expression.low},{high}}}"
            case Automaton():
                return self._automaton(expression.table, expression.state)
        assert expression is NOTHING
        return '~/(?s:.)*/ & "x"'

    def _part(self, expression: Expression) -> str:
        return _literal(expression) if expression.plain else self.name(expression)

    def _automaton(self, table: Table, start: int) -> str:
        """By eliminating one state after the other (Brzozowski and McCluskey, 1963)."""
        states = [start, *(s for s in range(len(table.rows)) if s != start)]
        if len(states) > MAX_STATES:
            raise GrammarError(f"an automaton of {len(states)} states can't be written down")
        begin, end = -1, -2
        ways: dict[tuple[int, int], str] = {(begin, start): '""'}
        for state in states:
            for ranges, following in table.rows[state]:
                self._add(ways, state, following, f"/{_class(ranges)}/")
        for state in table.accepting:
            ways[state, end] = '""'
        for state in reversed(states):
            loop = ways.pop((state, state), None)
            middle = f" {self._define(loop)}*" if loop else ""
            before = {i: ways.pop((i, j)) for i, j in list(ways) if j == state}
            behind = {j: ways.pop((i, j)) for i, j in list(ways) if i == state}
            names = {j: self._define(way) for j, way in behind.items()}
            for i, way in before.items():
                stem = self._define(f"({way}){middle}")
                for j, name in names.items():
                    self._add(ways, i, j, f"{stem} {name}")
        return ways.get((begin, end), self._definition(NOTHING))

    @staticmethod
    def _add(ways: dict[tuple[int, int], str], i: int, j: int, way: str) -> None:
        known = ways.get((i, j))
        ways[i, j] = way if known is None else f"{known} | {way}"


def _literal(expression: Expression) -> str:
    return '""' if expression is EMPTY else f"/{regex(expression)}/"


def regex(expression: Expression) -> str:
    """A plain expression in Rust's syntax, fit to stand between slashes."""
    match expression:
        case Characters():
            return _class(expression.ranges)
        case Sequence():
            return "".join(_grouped(part, Choice) for part in expression.parts)
        case Choice():
            parts = [regex(part) for part in expression.parts if part is not EMPTY]
            options = parts[0] if len(parts) == 1 else "|".join(parts)
            return options if len(parts) == len(expression.parts) else f"(?:{options})?"
        case Repeat():
            if expression == ANY:
                return "(?s:.*)"
            return _grouped(expression.inner, Choice, Sequence, Repeat) + _times(expression)
    assert expression is EMPTY
    return "(?:)"


def _grouped(expression: Expression, *kinds: type[Expression]) -> str:
    found = regex(expression)
    return f"(?:{found})" if isinstance(expression, kinds) else found


def _times(expression: Repeat) -> str:
    match expression.low, expression.high:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case low, None:
            return f"{{{low},}}"
        case low, high:
            return f"{{{low},{high}}}"


def _class(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _letter(ranges[0][0])
    rest = characters.complement(ranges)
    if 0 < len(rest) < len(ranges):
        return f"[^{_members(rest)}]"
    return "(?s:.)" if ranges == characters.EVERY else f"[{_members(ranges)}]"


def _members(ranges: Ranges) -> str:
    return "".join(
        _letter(first, within=True)
        if first == last
        else f"{_letter(first, within=True)}-{_letter(last, within=True)}"
        for first, last in ranges
    )


def _letter(code: int, *, within: bool = False) -> str:
    letter = chr(code)
    safe = letter.isalnum() and letter.isascii() if within else letter in _PLAIN
    return letter if safe else f"\\x{{{code:X}}}"
