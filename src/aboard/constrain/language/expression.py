"""Regular expressions as values: built by functions that simplify, compared by their parts.

They are simplified so far that derivatives of one expression come in finite number (Owens, Reppy
and Turon, 2009, section 4.1): choices and intersections are sets, nested ones are flattened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from aboard.constrain.language import characters
from aboard.constrain.language.characters import EVERY, Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A set of texts.

    Attributes
    ----------
    key : tuple
        What it is made of.
    nullable : bool
        Whether the empty text is one of them.
    plain : bool
        Whether it has neither "both" nor "not" nor an automaton in it: then it is never empty.
    """

    key: tuple[object, ...]
    nullable: bool
    plain: bool
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((type(self).__name__, self.key)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(self) is type(other)
            and isinstance(other, Expression)
            and self._hash == other._hash
            and self.key == other.key
        )


class Nothing(Expression):
    """No text at all."""

    __slots__ = ()


class Empty(Expression):
    """The empty text alone."""

    __slots__ = ()


class Characters(Expression):
    """One character of a set."""

    __slots__ = ()

    @property
    def ranges(self) -> Ranges:
        """The characters."""
        return self.key  # type: ignore[return-value]


class Sequence(Expression):
    """One part after the other."""

    __slots__ = ()

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The parts in their order."""
        return self.key  # type: ignore[return-value]


class Repeat(Expression):
    """The same part again and again."""

    __slots__ = ()

    @property
    def inner(self) -> Expression:
        """What is repeated."""
        return self.key[0]  # type: ignore[return-value]

    @property
    def low(self) -> int:
        """How often at least."""
        return self.key[1]  # type: ignore[return-value]

    @property
    def high(self) -> int | None:
        """How often at most; None: without end."""
        return self.key[2]  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class _Set(Expression):
    """Parts whose order doesn't matter; they are kept in that of their coming."""

    parts: tuple[Expression, ...] = ()


class Choice(_Set):
    """Any of the parts."""

    __slots__ = ()


class Both(_Set):
    """All parts at once."""

    __slots__ = ()


class Other(Expression):
    """Any text that the part isn't."""

    __slots__ = ()

    @property
    def inner(self) -> Expression:
        """What it is not."""
        return self.key[0]  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Table:
    """A deterministic automaton: a state is a row, a missing letter leads nowhere."""

    rows: tuple[tuple[tuple[Ranges, int], ...], ...]
    accepting: frozenset[int]


class Automaton(Expression):
    """The texts that lead from a state of a table to an accepting one."""

    __slots__ = ()

    @property
    def table(self) -> Table:
        """The automaton's table."""
        return self.key[0]  # type: ignore[return-value]

    @property
    def state(self) -> int:
        """The row where it begins."""
        return self.key[1]  # type: ignore[return-value]


NOTHING: Expression = Nothing((), nullable=False, plain=False)
EMPTY: Expression = Empty((), nullable=True, plain=True)
LETTER: Expression = Characters(EVERY, nullable=False, plain=True)
ANY: Expression = Repeat((LETTER, 0, None), nullable=True, plain=True)
"""Every text."""


def letters(ranges: Ranges) -> Expression:
    """One character of `ranges`."""
    if ranges == EVERY:
        return LETTER
    return Characters(ranges, nullable=False, plain=True) if ranges else NOTHING


@lru_cache(maxsize=4096)
def _letter(letter: str) -> Expression:
    return letters(characters.of(letter))


def literal(text: str) -> Expression:
    """This text."""
    return sequence(*map(_letter, text))


def sequence(*parts: Expression) -> Expression:
    """Texts of `parts` one after the other."""
    flat: list[Expression] = []
    for part in parts:
        if part is NOTHING:
            return NOTHING
        if isinstance(part, Sequence):
            flat += part.parts
        elif part is not EMPTY:
            flat.append(part)
    if len(flat) < 2:
        return flat[0] if flat else EMPTY
    return Sequence(
        tuple(flat),
        nullable=all(part.nullable for part in flat),
        plain=all(part.plain for part in flat),
    )


def choice(*parts: Expression) -> Expression:
    """Texts of any of `parts`."""
    options: dict[Expression, None] = {}
    ranges: Ranges = ()
    for part in parts:
        for option in part.parts if isinstance(part, Choice) else (part,):
            if option == ANY:
                return ANY
            if isinstance(option, Characters):
                ranges = characters.union(ranges, option.ranges)
            elif option is not NOTHING:
                options[option] = None
    if ranges:
        options[letters(ranges)] = None
    if any(isinstance(option, Other) and option.inner in options for option in options):
        return ANY
    if EMPTY in options and any(o.nullable for o in options if o is not EMPTY):
        del options[EMPTY]
    found = tuple(options)
    if len(found) < 2:
        return found[0] if found else NOTHING
    return Choice(
        (frozenset(found),),
        nullable=any(option.nullable for option in found),
        plain=all(option.plain for option in found),
        parts=found,
    )


def both(*parts: Expression) -> Expression:
    """Texts that are of all `parts`."""
    needs: dict[Expression, None] = {}
    ranges: Ranges | None = None
    for part in parts:
        for need in part.parts if isinstance(part, Both) else (part,):
            if isinstance(need, Characters):
                ranges = characters.shared(EVERY if ranges is None else ranges, need.ranges)
            elif need != ANY:
                needs[need] = None
    if ranges is not None:
        needs[letters(ranges)] = None
    if NOTHING in needs or any(isinstance(n, Other) and n.inner in needs for n in needs):
        return NOTHING
    nullable = all(need.nullable for need in needs)
    if EMPTY in needs:
        return EMPTY if nullable else NOTHING
    found = tuple(needs)
    if len(found) < 2:
        return found[0] if found else ANY
    return Both((frozenset(found),), nullable=nullable, plain=False, parts=found)


def other(part: Expression) -> Expression:
    """All texts that aren't of `part`."""
    if isinstance(part, Other):
        return part.inner
    if part is NOTHING:
        return ANY
    if part == ANY:
        return NOTHING
    return Other((part,), nullable=not part.nullable, plain=False)


def minus(part: Expression, without: Expression) -> Expression:
    """Texts of the one that aren't of the other."""
    return both(part, other(without))


def repeat(part: Expression, low: int, high: int | None) -> Expression:
    """`low` to `high` texts of `part` one after the other; without end where `high` is None."""
    if high is not None and high < low:
        return NOTHING
    if high == 0 or part is EMPTY:
        return EMPTY
    if part is NOTHING:
        return NOTHING if low else EMPTY
    if low == high == 1:
        return part
    if isinstance(part, Repeat) and part.high is None and part.low <= 1:
        return repeat(part.inner, low * part.low, None)
    return Repeat((part, low, high), nullable=low == 0 or part.nullable, plain=part.plain)


def optional(part: Expression) -> Expression:
    """A text of `part`, or none."""
    return choice(part, EMPTY)


def _common_start(texts: list[str]) -> str:
    """What all of `texts` begin with."""
    first, last = min(texts), max(texts)
    for n, (one, another) in enumerate(zip(first, last, strict=False)):
        if one != another:
            return first[:n]
    return first


def literals(texts: Iterable[str]) -> Expression:
    """Any of `texts`; beginnings that several share stand there once."""
    given = list(dict.fromkeys(texts))
    if len(given) < 2:
        return literal(given[0]) if given else NOTHING
    by_first: dict[str, list[str]] = {}
    for text in given:
        by_first.setdefault(text[:1], []).append(text)
    options = []
    for alike in by_first.values():
        start = _common_start(alike)
        rests = literals(text[len(start) :] for text in alike)
        options.append(sequence(literal(start), rests) if start else EMPTY)
    return choice(*options)
