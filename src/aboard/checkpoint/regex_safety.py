"""Whether a regular expression of a stranger's file can be run: its time must stay bounded.

The `tokenizers` library matches with backtracking. `(a|aa)+c` takes seconds for 200 letters there,
and then takes the process down with an error that isn't Python's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARS = 8192
# Of the published ones none has more than two, one after the other: `\s*[\r\n]+`.
MAX_UNBOUNDED = 3
_MANY = 16

_GROUP = re.compile(r"\((?:\?(?:[im]*(?:-[im]+)?:|=|!|<=|<!|>))?")
_FLAGS = re.compile(r"\(\?[im]+\)")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d*)(,?)(\d*)\})[?+]?")
_ESCAPE = re.compile(r"\\(?:[pP]\{\^?[A-Za-z_ ]+\}|x\{[0-9a-fA-F]+\}|[^0-9kgKRXQEcCM])")


@dataclass
class _Branches:
    """What is known of a group while it is read: of the branch at hand, and the worst of all."""

    unbounded: int = 0
    most_unbounded: int = 0
    has_choice: bool = False  # more than one way to match the same text


class _Unsafe(Exception):
    pass


def danger(pattern: str) -> str | None:
    """Why `pattern` isn't run, None where it can be."""
    if len(pattern) > MAX_CHARS:
        return f"it has more than {MAX_CHARS} characters"
    try:
        _scan(pattern)
    except _Unsafe as found:
        return str(found)
    return None


def _scan(pattern: str) -> None:
    open_groups = [_Branches()]
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        inner: _Branches | None = None
        if flags := _FLAGS.match(pattern, at):
            at = flags.end()
            continue
        if letter == "(":
            group = _GROUP.match(pattern, at)
            assert group is not None
            if pattern.startswith(("?", "*"), group.end()):
                raise _Unsafe(f"it has a group {pattern[at : at + 4]!r}")
            open_groups.append(_Branches())
            if len(open_groups) > 32:
                raise _Unsafe("it nests groups too deeply")
            at = group.end()
            continue
        if letter == "|":
            top = open_groups[-1]
            top.unbounded, top.has_choice = 0, True
            at += 1
            continue
        if letter == ")":
            if len(open_groups) == 1:
                raise _Unsafe("a parenthesis closes nothing")
            inner = open_groups.pop()
            at += 1
        elif letter == "[":
            at = _end_of_class(pattern, at)
        elif letter == "\\":
            escape = _ESCAPE.match(pattern, at)
            if escape is None:
                raise _Unsafe(f"it has {pattern[at : at + 2]!r}")
            at = escape.end()
        else:
            at += 1
        at = _repeat(pattern, at, inner, open_groups[-1])
    if len(open_groups) > 1:
        raise _Unsafe("a parenthesis isn't closed")


def _repeat(pattern: str, at: int, inner: _Branches | None, outer: _Branches) -> int:
    """Take the quantifiers at `at` into account; where the pattern goes on."""
    n_found = 0
    while (found := _QUANTIFIER.match(pattern, at)) and found[0] not in ("{}", "{,}"):
        n_found += 1
        if n_found > 1 or len(found[3] or "") > 4 or len(found[1] or "") > 4:
            raise _Unsafe("it repeats what is repeated already")
        at = found.end()
        is_open = found[0][0] in "*+" or (bool(found[2]) and not found[3])
        most = _MANY + 1 if is_open else int(found[3] or found[1] or 1)
        if inner is not None and most > 1 and (inner.most_unbounded or inner.has_choice):
            raise _Unsafe("it repeats a group that can match in several ways")
        outer.has_choice |= found[0][0] != "{" or bool(found[2])
        outer.unbounded += most > _MANY
    if inner is not None:
        outer.unbounded += inner.most_unbounded
        outer.has_choice |= inner.has_choice
    outer.most_unbounded = max(outer.most_unbounded, outer.unbounded)
    if outer.most_unbounded > MAX_UNBOUNDED:
        raise _Unsafe(f"more than {MAX_UNBOUNDED} of its parts may be of any length")
    return at


def _end_of_class(pattern: str, at: int) -> int:
    """Where the class of characters that begins at `at` ends."""
    depth = 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "\\":
            at += 1
        elif letter == "[":
            if pattern.startswith(("[]", "[^]", "[:"), at):  # read otherwise by other libraries
                raise _Unsafe(f"it has {pattern[at : at + 3]!r}")
            depth += 1
        elif letter == "]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise _Unsafe("a class of characters isn't closed")
