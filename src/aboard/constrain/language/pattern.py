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


def searched(pattern: str) -> Expression:
    """The texts in which `pattern` matches somewhere, as JSON Schema means it.

    Raises
    ------
    GrammarError
        As for `parse`.
    """
    tree = parse(pattern)
    if _asserts(tree):
        return choice(
            _then(tree, ANY, at_start=True), sequence(LETTER, ANY, _then(tree, ANY, at_start=False))
        )
    return sequence(ANY, _plain(tree), ANY)


def matched(pattern: str, *, max_chars: int = MAX_CHARS) -> Expression:
    """The texts that `pattern` matches from beginning to end.

    Raises
    ------
    GrammarError
        As for `parse`.
    """
    return _then(parse(pattern, max_chars=max_chars), EMPTY, at_start=True)


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


def _then(tree: Tree, rest: Expression, *, at_start: bool) -> Expression:
    """The texts of `tree` and then of `rest`, which goes to the end of the whole text.

    `at_start`: nothing stands before them.
    """
    if not _asserts(tree):
        return sequence(_plain(tree), rest)
    match tree:
        case Start():
            return rest if at_start else NOTHING
        case End():
            return both(rest, EMPTY)
        case Ahead():
            seen = _then(tree.part, ANY, at_start=at_start)
            return both(seen if tree.holds else other(seen), rest)
        case Either():
            return choice(*(_then(part, rest, at_start=at_start) for part in tree.parts))
        case Row():
            return _row_then(tree.parts, rest, at_start=at_start)
        case Times():
            return _times_then(tree, rest, at_start=at_start)
    raise AssertionError(tree)


def _times_then(tree: Times, rest: Expression, *, at_start: bool) -> Expression:
    match tree.part:
        case Row((Ahead(part=unwanted, holds=False), Letters() as letter)) if rest == EMPTY:
            beginning = _then(unwanted, ANY, at_start=False)
            if not _has_start(unwanted) and not beginning.nullable:
                texts = repeat(_plain(letter), tree.low, tree.high)
                return both(texts, other(sequence(ANY, beginning)))
    if tree.low <= 1 and not _holds(tree.part, Start | Ahead):
        # Where a round comes to the end of the text, no further one can follow.
        unended = _plain(_endless(tree.part))
        n_before = None if tree.high is None else tree.high - 1
        last = _then(tree.part, both(rest, EMPTY), at_start=False)
        return choice(
            sequence(repeat(unended, tree.low, tree.high), rest),
            sequence(repeat(unended, 0, n_before), last),
        )
    return _row_then(_unrolled(tree), rest, at_start=at_start)


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


def _row_then(parts: tuple[Tree, ...], rest: Expression, *, at_start: bool) -> Expression:
    if not parts:
        return rest
    first, others = parts[0], parts[1:]
    if not at_start or not _looks_for_start(others):
        behind = _row_then(others, rest, at_start=False)
        return _then(first, behind, at_start=at_start)
    # What follows is at the start of the text only where the first part is empty.
    started = _row_then(others, rest, at_start=True)
    behind = _row_then(others, rest, at_start=False)
    if not _asserts(first):
        consumed = _plain(first)
        nothing = started if consumed.nullable else NOTHING
        return choice(nothing, sequence(both(consumed, _SOME), behind))
    if isinstance(first, Start | Ahead | End):
        return _then(first, started, at_start=True)
    if isinstance(first, Either):
        return choice(*(_row_then((p, *others), rest, at_start=True) for p in first.parts))
    if isinstance(first, Row):
        return _row_then((*first.parts, *others), rest, at_start=True)
    assert isinstance(first, Times)
    return _row_then((*_unrolled(first), *others), rest, at_start=True)


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
