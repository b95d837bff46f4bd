"""Regular expressions as ECMA-262 writes them (with flag u), parsed into a tree.

JSON Schema's patterns are of this dialect. What it has and regular languages have not (back
references), and what other dialects write otherwise is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aboard.constrain.language import characters
from aboard.constrain.language.categories import of_category
from aboard.constrain.language.characters import Ranges
from aboard.errors import GrammarError

MAX_CHARS = 4096
MAX_DEPTH = 40
MAX_ASSERTIONS = 64
MAX_REPEAT = 5_000

DIGITS = characters.ranges([(48, 57)])
WORD = characters.ranges([(48, 57), (65, 90), (95, 95), (97, 122)])
LINE_ENDS = characters.of("\n\r\u2028\u2029")
SPACES = characters.union(
    characters.ranges([(9, 13), (0x2000, 0x200A), (0x2028, 0x2029)]),
    characters.of(" \xa0\u1680\u202f\u205f\u3000\ufeff"),
)
_CLASSES = {"d": DIGITS, "w": WORD, "s": SPACES}
_CONTROLS = {"f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "0": 0}
_CATEGORY = re.compile(r"\{(?:General_Category=|gc=)?([A-Za-z_]+)\}")
_BOUNDS = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}(?<!\{\})(?<!\{,\})")
_FOREIGN_GROUPS = {
    "?<=": "looks behind",
    "?<!": "looks behind",
    "?>": "is atomic",
    "?P": "is named as only Python does",
    "?#": "is a comment, which ECMA-262 doesn't know",
    "?(": "depends on another group",
}


@dataclass(frozen=True, slots=True)
class Letters:
    """One character of these."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Start:
    """Where the text begins."""


@dataclass(frozen=True, slots=True)
class End:
    """Where the text ends."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Whether what follows begins with the part."""

    part: Tree
    holds: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One part after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """The part, again and again."""

    part: Tree
    low: int
    high: int | None


Tree = Letters | Start | End | Ahead | Row | Either | Times


def parse(pattern: str, *, max_chars: int = MAX_CHARS) -> Tree:
    """The tree of `pattern`.

    Raises
    ------
    GrammarError
        It is no such pattern, or has something that isn't followed here.
    """
    if len(pattern) > max_chars:
        raise GrammarError(f"a pattern has {len(pattern)} characters, expected at most {max_chars}")
    return _Parser(pattern).whole()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._n_assertions = 0

    def whole(self) -> Tree:
        found = self._either()
        if self._at < len(self._pattern):
            raise self._refusal("a parenthesis closes nothing")
        return found

    def _refusal(self, why: str) -> GrammarError:
        return GrammarError(f"the pattern {self._pattern[:80]!r}, at {self._at}: {why}")

    def _peek(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if self._peek(text):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise self._refusal("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _either(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refusal(f"groups are nested more than {MAX_DEPTH} deep")
        options = [self._row()]
        while self._take("|"):
            options.append(self._row())
        self._depth -= 1
        return options[0] if len(options) == 1 else Either(tuple(options))

    def _row(self) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self._pattern) and not self._peek("|") and not self._peek(")"):
            parts.append(self._quantified(self._atom()))
        return parts[0] if len(parts) == 1 else Row(tuple(parts))

    def _quantified(self, atom: Tree) -> Tree:
        bounds = self._bounds()
        if bounds is None:
            return atom
        if isinstance(atom, Start | End | Ahead):
            raise self._refusal("what has no length is repeated")
        self._take("?")  # lazy: another match, of the same texts
        if self._bounds() is not None:
            raise self._refusal("what is repeated already is repeated")
        low, high = bounds
        if high is not None and high < low:
            raise self._refusal("a repetition's bounds are the wrong way round")
        if max(low, high or 0) > MAX_REPEAT:
            raise self._refusal(f"it repeats more than {MAX_REPEAT} times")
        return Times(atom, low, high)

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        found = _BOUNDS.match(self._pattern, self._at)
        if found is None:
            return None  # a brace that is no repetition stands for itself
        low, comma, high = found.groups()
        if not low:
            raise self._refusal("{,n} is read in several ways; write {0,n}, or \\{ for a brace")
        if len(low) > 6 or len(high) > 6:
            raise self._refusal(f"it repeats more than {MAX_REPEAT} times")
        self._at = found.end()
        return int(low), (int(high) if high else None) if comma else int(low)

    def _atom(self) -> Tree:
        letter = self._next()
        match letter:
            case "(":
                return self._group()
            case "[":
                return Letters(self._class())
            case "\\":
                return self._escape()
            case ".":
                return Letters(characters.complement(LINE_ENDS))
            case "^":
                return self._asserting(Start())
            case "$":
                return self._asserting(End())
            case "*" | "+" | "?":
                self._at -= 1
                raise self._refusal("there is nothing to repeat")
        return Letters(characters.of(self._sound(letter)))

    def _asserting(self, tree: Tree) -> Tree:
        self._n_assertions += 1
        if self._n_assertions > MAX_ASSERTIONS:
            raise self._refusal(f"it has ^, $ and look-aheads in more than {MAX_ASSERTIONS} places")
        return tree

    def _sound(self, letter: str) -> str:
        if "\ud800" <= letter <= "\udfff":
            raise self._refusal("half a surrogate pair is no character")
        return letter

    def _group(self) -> Tree:
        look: bool | None = None
        if self._take("?="):
            look = True
        elif self._take("?!"):
            look = False
        elif self._peek("?<") and not self._peek("?<=") and not self._peek("?<!"):
            end = self._pattern.find(">", self._at)
            if not self._pattern[self._at + 2 : max(end, self._at + 2)].isidentifier():
                raise self._refusal("a group's name is none")
            self._at = end + 1
        elif not self._take("?:") and self._peek("?"):
            kind = next((k for k in _FOREIGN_GROUPS if self._peek(k)), None)
            raise self._refusal(
                f"a group {_FOREIGN_GROUPS[kind] if kind else 'sets flags, or is none'}"
            )
        inner = self._either()
        if not self._take(")"):
            raise self._refusal("a parenthesis isn't closed")
        return inner if look is None else self._asserting(Ahead(inner, look))

    def _escape(self) -> Tree:
        letter = self._next()
        if letter.lower() in _CLASSES:
            return Letters(_class_of(letter))
        if letter in "123456789k":
            raise self._refusal("it refers back to a group")
        if letter in "pP":
            return Letters(self._category(negated=letter == "P"))
        if letter in "bB":
            raise self._refusal("it asks where words begin")
        return Letters(self._one(self._escaped(letter)))

    def _category(self, *, negated: bool) -> Ranges:
        found = _CATEGORY.match(self._pattern, self._at)
        ranges = of_category(found[1]) if found else None
        if found is None or ranges is None:
            raise self._refusal("\\p is followed by no general category of Unicode")
        self._at = found.end()
        return characters.complement(ranges) if negated else ranges

    def _one(self, code: int) -> Ranges:
        if 0xD800 <= code <= 0xDFFF:
            raise self._refusal("half a surrogate pair is no character")
        return ((code, code),)

    def _escaped(self, letter: str) -> int:
        """The code point that a backslash and `letter` stand for."""
        if letter in _CONTROLS:
            if letter == "0" and self._pattern[self._at : self._at + 1].isdecimal():
                raise self._refusal("an octal escape")
            return _CONTROLS[letter]
        if not (letter.isascii() and letter.isalnum()):
            return ord(self._sound(letter))
        if letter == "c" and (control := self._next()).isascii() and control.isalpha():
            return ord(control) % 32
        if letter == "x":
            return self._hexadecimal(2)
        if letter == "u":
            return self._unicode()
        raise self._refusal(f"\\{letter} isn't followed here")

    def _unicode(self) -> int:
        if self._take("{"):
            end = self._pattern.find("}", self._at)
            code = self._hexadecimal(max(end - self._at, 0))
            self._at += 1
        else:
            code = self._hexadecimal(4)
        if 0xD800 <= code <= 0xDBFF and self._take("\\u"):
            low = self._hexadecimal(4)
            if 0xDC00 <= low <= 0xDFFF:
                return 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
        return code

    def _hexadecimal(self, n_digits: int) -> int:
        digits = self._pattern[self._at : self._at + n_digits]
        if not digits or len(digits) < n_digits or set(digits) - set("0123456789abcdefABCDEF"):
            raise self._refusal("an escape lacks hexadecimal digits")
        code = int(digits, 16)
        if code > characters.LAST:
            raise self._refusal("an escape is beyond Unicode")
        self._at += n_digits
        return code

    def _class(self) -> Ranges:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        while not self._take("]"):
            first = self._class_item()
            if self._peek("-") and not self._peek("-]"):
                self._at += 1
                last = self._class_item()
                if not isinstance(first, int) or not isinstance(last, int) or last < first:
                    raise self._refusal("a range of characters is none")
                found.append((first, last))
            elif isinstance(first, int):
                found.append((first, first))
            else:
                found += first
        ranges = characters.ranges(found)
        return characters.complement(ranges) if negated else ranges

    def _class_item(self) -> int | Ranges:
        """A code point, or the characters of a class's name."""
        letter = self._sound(self._next())
        if letter != "\\":
            return ord(letter)
        letter = self._next()
        if letter.lower() in _CLASSES:
            return _class_of(letter)
        if letter in "pP":
            return self._category(negated=letter == "P")
        return 8 if letter == "b" else self._escaped(letter)


def _class_of(letter: str) -> Ranges:
    ranges = _CLASSES[letter.lower()]
    return ranges if letter.islower() else characters.complement(ranges)
