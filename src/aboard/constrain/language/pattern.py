"""The texts that a regular expression matches, in full or somewhere in them."""

from __future__ import annotations

from types import UnionType

from aboard.constrain.language.expression import (
    ANY,
    EMPTY,
    LETTER,
    NOTHING,
    Expression,
    both,
    choice,
    letters,
    other,
    repeat,
    sequence,
)
from aboard.constrain.language.pattern_tree import (
    MAX_CHARS,
    Ahead,
    Either,
    End,
    Letters,
    Row,
    Start,
    Times,
    Tree,
    parse,
)
from aboard.errors import GrammarError

_SOME = sequence(LETTER, ANY)
_MAX_UNROLLED = 16
MAX_STEPS = 5_000


def searched(pattern: str) -> Expression:
    """The texts in which `pattern` matches somewhere, as JSON Schema means it.

    Raises
    ------
    GrammarError
        As for `parse`.
    """
    tree = parse(pattern)
    if _asserts(tree):
        read = _Reading().then
        return choice(
            read(tree, ANY, at_start=True), sequence(LETTER, ANY, read(tree, ANY, at_start=False))
        )
    return sequence(ANY, _plain(tree), ANY)


def matched(pattern: str, *, max_chars: int = MAX_CHARS) -> Expression:
    """The texts that `pattern` matches from beginning to end.

    Raises
    ------
    GrammarError
        As for `parse`.
    """
    return _Reading().then(parse(pattern, max_chars=max_chars), EMPTY, at_start=True)


class _Reading:
    """Makes languages of trees that assert something, in a bounded number of steps."""

    def __init__(self) -> None:
        self._steps_left = MAX_STEPS

    def then(self, tree: Tree, rest: Expression, *, at_start: bool) -> Expression:
        """The texts of `tree` and then of `rest`, which goes to the end of the whole text.

        `at_start`: nothing stands before them.
        """
        self._steps_left -= 1
        if self._steps_left < 0:
            raise GrammarError("a pattern asks in too many places where the text begins or ends")
        if not _asserts(tree):
            return sequence(_plain(tree), rest)
        match tree:
            case Start():
                return rest if at_start else NOTHING
            case End():
                return both(rest, EMPTY)
            case Ahead():
                seen = self.then(tree.part, ANY, at_start=at_start)
                return both(seen if tree.holds else other(seen), rest)
            case Either():
                return choice(*(self.then(part, rest, at_start=at_start) for part in tree.parts))
            case Row():
                return self._row(tree.parts, rest, at_start=at_start)
            case Times():
                return self._times(tree, rest, at_start=at_start)
        raise AssertionError(tree)

    def _times(self, tree: Times, rest: Expression, *, at_start: bool) -> Expression:
        match tree.part:
            case Row((Ahead(part=unwanted, holds=False), Letters() as letter)) if rest == EMPTY:
                beginning = self.then(unwanted, ANY, at_start=False)
                if not _has_start(unwanted) and not beginning.nullable:
                    texts = repeat(_plain(letter), tree.low, tree.high)
                    return both(texts, other(sequence(ANY, beginning)))
        if tree.low <= 1 and not _holds(tree.part, Start | Ahead):
            # Where a round comes to the end of the text, no further one can follow.
            unended = _plain(_endless(tree.part))
            n_before = None if tree.high is None else tree.high - 1
            last = self.then(tree.part, both(rest, EMPTY), at_start=False)
            return choice(
                sequence(repeat(unended, tree.low, tree.high), rest),
                sequence(repeat(unended, 0, n_before), last),
            )
        return self._row(_unrolled(tree), rest, at_start=at_start)

    def _row(self, parts: tuple[Tree, ...], rest: Expression, *, at_start: bool) -> Expression:
        if not parts:
            return rest
        n_plain = next((i for i, part in enumerate(parts) if _asserts(part)), len(parts))
        first: Tree = Row(parts[:n_plain]) if n_plain else parts[0]
        others = parts[max(n_plain, 1) :]
        if not at_start or not _looks_for_start(others):
            behind = self._row(others, rest, at_start=False)
            return self.then(first, behind, at_start=at_start)
        # What follows is at the start of the text only where the first part is empty.
        started = self._row(others, rest, at_start=True)
        behind = self._row(others, rest, at_start=False)
        if not _asserts(first):
            consumed = _plain(first)
            nothing = started if consumed.nullable else NOTHING
            return choice(nothing, sequence(both(consumed, _SOME), behind))
        if isinstance(first, Start | Ahead | End):
            return self.then(first, started, at_start=True)
        if isinstance(first, Either):
            return choice(*(self._row((p, *others), rest, at_start=True) for p in first.parts))
        if isinstance(first, Row):
            return self._row((*first.parts, *others), rest, at_start=True)
        assert isinstance(first, Times)
        return self._row((*_unrolled(first), *others), rest, at_start=True)


def _asserts(tree: Tree) -> bool:
    """Whether something in it has no length, so that it depends on what stands around it."""
    return _holds(tree, Start | End | Ahead)


def _plain(tree: Tree) -> Expression:
    """The texts of a tree that asserts nothing."""
    match tree:
        case Letters():
            return letters(tree.ranges)
        case Row():
            return sequence(*(_plain(part) for part in tree.parts))
        case Either():
            return choice(*(_plain(part) for part in tree.parts))
        case Times():
            return repeat(_plain(tree.part), tree.low, tree.high)
    raise AssertionError(tree)


def _endless(tree: Tree) -> Tree:
    """The tree without what matches at the end of the text only."""
    match tree:
        case End():
            return Letters(())
        case Row():
            return Row(tuple(map(_endless, tree.parts)))
        case Either():
            return Either(tuple(map(_endless, tree.parts)))
        case Times():
            return Times(_endless(tree.part), tree.low, tree.high)
    return tree


def _looks_for_start(parts: tuple[Tree, ...]) -> bool:
    return any(_has_start(part) for part in parts)


def _has_start(tree: Tree) -> bool:
    return _holds(tree, Start)


def _holds(tree: Tree, kind: type[Tree] | UnionType) -> bool:
    """Whether something of this kind is in the tree."""
    if isinstance(tree, kind):
        return True
    match tree:
        case Row() | Either():
            return any(_holds(part, kind) for part in tree.parts)
        case Times() | Ahead():
            return _holds(tree.part, kind)
    return False


def _unrolled(tree: Times) -> tuple[Tree, ...]:
    """The repetition of something that asserts, as a row."""
    if tree.high is None or tree.high > _MAX_UNROLLED:
        raise GrammarError("a pattern repeats a group that holds ^, $ or a look-ahead")
    row: tuple[Tree, ...] = ()
    for _ in range(tree.high - tree.low):
        row = (Either((Row((tree.part, *row)), Row(()))),)
    return (tree.part,) * tree.low + row
