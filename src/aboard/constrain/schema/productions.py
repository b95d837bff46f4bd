"""Context-free productions: what can't be filled is struck out, the rest becomes a Lark grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aboard.constrain.language.derivative import Questions
from aboard.constrain.language.expression import Expression
from aboard.constrain.language.lark import Terminals
from aboard.errors import GrammarError

MAX_RULES = 2_000
"""Of a grammar. llguidance follows them by calls: a chain of 3,000 overflows a stack of 8 MiB."""

MAX_TEXT = 2_000_000
"""Characters of a grammar."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a regular language."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """What the rule of this number says."""

    number: int


@dataclass(frozen=True, slots=True)
class Chain:
    """One part after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """Any of the parts; none can be picked from nothing."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """A part from `low` to `high` times, without end where that is None."""

    part: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Distinct:
    """Some of the texts, each at most once, in any order, a separator between two."""

    texts: tuple[Text, ...]
    separator: Text
    least: int
    most: int


Node = Text | Rule | Chain | Pick | Again | Distinct

NONE = Pick(())
NIL = Chain(())


def chain(*parts: Node) -> Node:
    """One of `parts` after the other."""
    flat = [p for part in parts for p in (part.parts if isinstance(part, Chain) else (part,))]
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def pick(*parts: Node) -> Node:
    """Any of `parts`."""
    flat = dict.fromkeys(
        p for part in parts for p in (part.parts if isinstance(part, Pick) else (part,))
    )
    return next(iter(flat)) if len(flat) == 1 else Pick(tuple(flat))


def maybe(part: Node) -> Node:
    """The part, or nothing."""
    return Again(part, 0, 1)


class Productions:
    """The rules of one grammar, made as they are asked for.

    Parameters
    ----------
    questions : Questions
        What tells empty languages, and bounds the number of rules.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._numbers: dict[object, int] = {}
        self._bodies: dict[int, Node] = {}
        self._waiting: list[tuple[int, Callable[[], Node]]] = []
        self._marks: dict[object, int] = {}

    def mark(self, key: object) -> int:
        """A number that equal keys share: large ones are compared once, not with every rule."""
        return self._marks.setdefault(key, len(self._marks))

    def rule(self, key: object, body: Callable[[], Node]) -> Rule:
        """The rule that is known by `key`; `body` makes it, later, if it is new."""
        number = self._numbers.get(key)
        if number is None:
            self._questions.spend(20)
            number = self._numbers[key] = len(self._numbers)
            self._waiting.append((number, body))
        return Rule(number)

    def complete(self) -> None:
        """Make all rules that were asked for, and those that they ask for."""
        while self._waiting:
            number, body = self._waiting.pop()
            self._bodies[number] = body()

    def lark(self, start: Rule, name: str) -> str | None:
        """The grammar whose rule `name` has the texts of `start`; None where there are none."""
        filled = self._filled()
        if start.number not in filled:
            return None
        bodies = {number: self._pruned(self._bodies[number], filled) for number in filled}
        writing = _Writing(name)
        lines: list[str] = []
        reached, waiting = {start.number}, [start.number]
        while waiting:
            number = waiting.pop()
            lines += writing.lines(number, bodies[number])
            for below in _rules(bodies[number]):
                if below not in reached:
                    reached.add(below)
                    waiting.append(below)
            if len(reached) > MAX_RULES:
                raise GrammarError(
                    f"the schema takes more than {MAX_RULES} rules",
                    hint="Make it smaller: fewer properties, smaller counts of items and members.",
                )
        first = f"{name}: {writing.rule(start.number)}"
        text = "\n".join([first, *lines, *writing.terminals.lines, ""])
        if len(text) > MAX_TEXT:
            raise GrammarError(f"the schema's grammar has more than {MAX_TEXT} characters")
        return text

    def _filled(self) -> set[int]:
        """The rules that some text fills: the smallest set that their bodies allow."""
        users: dict[int, list[int]] = {}
        for number, body in self._bodies.items():
            for below in _rules(body):
                users.setdefault(below, []).append(number)
        filled: set[int] = set()
        waiting = list(self._bodies)
        while waiting:
            number = waiting.pop()
            if number not in filled and self._can_fill(self._bodies[number], filled):
                filled.add(number)
                waiting += users.get(number, ())
        return filled

    def _can_fill(self, node: Node, filled: set[int]) -> bool:
        match node:
            case Text():
                return not self._questions.is_empty(node.expression)
            case Rule():
                return node.number in filled
            case Chain():
                return all(self._can_fill(part, filled) for part in node.parts)
            case Pick():
                return any(self._can_fill(part, filled) for part in node.parts)
            case Again():
                return node.low == 0 or self._can_fill(node.part, filled)
            case Distinct():
                return node.least <= min(len(node.texts), node.most)

    def _pruned(self, node: Node, filled: set[int]) -> Node:
        """A node that can be filled without what can't be."""
        match node:
            case Chain():
                return chain(*(self._pruned(part, filled) for part in node.parts))
            case Pick():
                kept = [part for part in node.parts if self._can_fill(part, filled)]
                return pick(*(self._pruned(part, filled) for part in kept))
            case Again():
                if not self._can_fill(node.part, filled):
                    return NIL
                return Again(self._pruned(node.part, filled), node.low, node.high)
        return node


def _rules(node: Node) -> list[int]:
    match node:
        case Rule():
            return [node.number]
        case Chain() | Pick():
            return [number for part in node.parts for number in _rules(part)]
        case Again():
            return _rules(node.part)
    return []


class _Writing:
    """Writes rules, under names that begin with `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.terminals = Terminals(name)

    def rule(self, number: int) -> str:
        return f"{self._name}-{number}"

    def lines(self, number: int, body: Node) -> list[str]:
        """The definition of a rule, which may need another."""
        name = self.rule(number)
        if not isinstance(body, Distinct):
            return [f"{name}: {self.written(body)}"]
        texts = [self.written(text) for text in body.texts]
        first = [f"{text} {name}-more::{1 << bit}" for bit, text in enumerate(texts)]
        further = [
            f"{self.written(body.separator)} {text} {name}-more::set_bit({bit}) "
            f"%if and(bit_clear({bit}), bit_count_lt(_, {body.most}))"
            for bit, text in enumerate(texts)
        ]
        ends = f'"" %if bit_count_ge(_, {body.least})'
        return [
            f"{name}: " + " | ".join([*(['""'] if body.least == 0 else []), *first]),
            f"{name}-more::_: " + " | ".join([ends, *further]),
        ]

    def written(self, node: Node) -> str:
        """A node as Lark has it."""
        match node:
            case Text():
                return self.terminals.name(node.expression)
            case Rule():
                return self.rule(node.number)
            case Chain():
                return " ".join(map(self._within, node.parts)) or '""'
            case Pick():
                return " | ".join(map(self.written, node.parts))
            case Again():
                if node.high == 0:
                    return '""'
                high = "" if node.high is None else node.high
                return f"({self.written(node.part)}){{{node.low},{high}}}"
        raise AssertionError(node)  # has a rule of its own

    def _within(self, node: Node) -> str:
        return f"({self.written(node)})" if isinstance(node, Pick) else self.written(node)
