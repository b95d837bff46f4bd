"""The text of a chat template, made safe for minijinja: limits first, then checks woven in.

minijinja's fuel pays for instructions and for the characters of strings. It does not pay for
nested lists that share their parts, nor for the depth of the parser's stack. So a template is cut
into tags here, what could overflow the stack is refused, and a call of `CHECK` follows every place
where a value gets a name: growth has to go through a name, as one expression is short.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from aboard.errors import TemplateError

CHECK, SCALAR, FORMAT = "aboard_check", "aboard_scalar", "aboard_format"
_RESERVED = "aboard_"

# The longest of some 90 published templates has 17,000 characters; its longest tag 220 words.
MAX_CHARS = 65_536
MAX_WORDS = 512
# Each one deepens the parser's stack: 256 overflow a thread's stack of 256 KiB.
MAX_ELIF = 128

_STATEMENTS = frozenset(
    [
        *("if", "elif", "else", "endif", "for", "endfor", "break", "continue"),
        *("set", "endset", "with", "endwith", "filter", "endfilter"),
        *("macro", "endmacro", "call", "endcall", "generation", "endgeneration"),
    ]
)
_ENDS = {"{{": "}}", "{%": "%}", "{#": "#}"}
_OPEN = re.compile(r"\{[{%#]")
_WORD = re.compile(
    r"\s*(?:"
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<string>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<sign>//|\*\*|==|!=|<=|>=|[-+/*%~<>=.,:|()\[\]{}])"
    r")",
    re.DOTALL,
)
_END = re.compile(r"\s*([-+]?)([%}]\})")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class _Word:
    kind: str  # name, number, string or sign
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class _Tag:
    opening: str  # {{ or {%, with - or + where it has one
    words: list[_Word]
    closing: str
    end: int  # where the text goes on


def guard_source(source: str) -> str:
    """`source` with the checks woven in; what it renders stays the same.

    Raises
    ------
    TemplateError
        The template is too long, too deep, or uses a statement that chat templates don't have.
    """
    if len(source) > MAX_CHARS:
        raise TemplateError(
            f"the chat template has {len(source)} characters, expected at most {MAX_CHARS}"
        )
    parts: list[str] = []
    n_elif = at = 0
    while (opening := _OPEN.search(source, at)) is not None:
        begin = opening.start()
        parts.append(source[at:begin])
        if opening[0] == "{#":
            at = source.find("#}", begin + 2) + 2
            if at < 2:
                raise _error(source, begin, "a comment has no end")
            parts.append(source[begin:at])
            continue
        tag = _read_tag(source, begin)
        parts += _guarded(source, tag)
        at = tag.end
        n_elif += bool(tag.words) and tag.opening[:2] == "{%" and tag.words[0].text == "elif"
        if n_elif > MAX_ELIF:
            raise _error(source, begin, f"more than {MAX_ELIF} elif")
    parts.append(source[at:])
    return "".join(parts)


def _error(source: str, at: int, problem: str) -> TemplateError:
    return TemplateError(f"chat template, line {source.count(chr(10), 0, at) + 1}: {problem}")


def _read_tag(source: str, begin: int) -> _Tag:
    opening = source[begin : begin + 2]
    at = begin + 2
    if source[at : at + 1] in ("-", "+"):
        opening += source[at]
        at += 1
    words: list[_Word] = []
    brackets: list[str] = []
    while True:
        end = _END.match(source, at)
        if end is not None and not brackets and end[2] == _ENDS[opening[:2]]:
            return _Tag(opening, words, end[1] + end[2], end.end())
        found = _WORD.match(source, at)
        if found is None or found.lastgroup is None:
            what = source[at : at + 20].strip() or "the end of the template"
            raise _error(source, at, f"found {what!r} within a tag")
        text = found[found.lastgroup]
        word = _Word(found.lastgroup, text, found.start(found.lastgroup), found.end())
        if text in _CLOSING:
            brackets.append(_CLOSING[text])
        elif text in (")", "]", "}") and (not brackets or brackets.pop() != text):
            raise _error(source, at, f"{text!r} closes nothing")
        if word.kind == "name" and text.startswith(_RESERVED):
            raise _error(source, at, f"the name {text!r} is reserved")
        words.append(word)
        if len(words) > MAX_WORDS:
            raise _error(source, begin, f"a tag has more than {MAX_WORDS} words")
        at = found.end()


def _guarded(source: str, tag: _Tag) -> list[str]:
    """The tag, and after it the check of what it gave a name."""
    if not tag.words:
        raise _error(source, tag.end, "a tag is empty")
    first = tag.words[0]
    inside = _expression(source, tag.words)
    if tag.opening[:2] == "{{":
        return [f"{tag.opening} {inside} {tag.closing}"]
    if first.text not in _STATEMENTS:
        raise _error(
            source, first.begin, f"statement {first.text[:40]!r} is unknown to chat templates"
        )
    if "generation" in first.text:  # marks the answer for training; renders as its content does
        inside = inside.replace("generation", "with", 1)
    names = _named(source, tag.words)
    if names is None:
        return [f"{tag.opening} {inside} {tag.closing}"]
    # The sign that strips white space goes with the last of the two tags.
    return [f"{tag.opening} {inside} %}}{{% do {CHECK}({names}) {tag.closing}"]


def _named(source: str, words: list[_Word]) -> str | None:
    """The names that a statement binds, as arguments of the check.

    Empty: only the time is checked. None: nothing needs a check.
    """
    statement = words[0].text
    if statement == "for":
        if words[-1].text == "recursive":
            raise _error(source, words[-1].begin, "recursive loops are not supported")
        return ""
    if statement == "set":
        equals = next((i for i, word in enumerate(words) if word.text == "="), None)
        if equals is None:
            return None  # a block, which gives a string
        targets = words[1:equals]
        return "".join(word.text for word in targets if word.text not in "()")
    if statement in ("macro", "call"):
        return ", ".join(_parameters(words[2:] if statement == "macro" else words[1:]))
    if statement == "with":
        return ", ".join(
            word.text
            for word, follows in pairwise(words[1:])
            if word.kind == "name" and follows.text == "="
        )
    return None


def _parameters(words: list[_Word]) -> list[str]:
    """The names in a parenthesis of parameters; none where `words` begins with something else."""
    names: list[str] = []
    depth = 0
    for before, word in pairwise(words):
        depth += (before.text in _CLOSING) - (before.text in (")", "]", "}"))
        if depth == 0:
            break
        if depth == 1 and word.kind == "name" and before.text in ("(", ","):
            names.append(word.text)
    return names


def _expression(source: str, words: list[_Word]) -> str:
    """The words of a tag as they stand, but for two things that cost no fuel.

    Both sides of `*` must be a string or a number: a list times a number would be a long list.
    The method `format` becomes a filter, as a width in it takes memory: '{:999999999}'.format(1).
    """
    texts = [word.text for word in words]
    if ("|", "safe") in pairwise(texts) and not {"+", "~"}.isdisjoint(texts):
        # Jinja2 would escape the other side as HTML; nobody means that.
        raise _error(source, words[0].begin, "'safe' next to '+' or '~' is not supported")
    guards: set[int] = set()  # word indices after which a guard goes
    for i, word in enumerate(words):
        if word.kind == "sign" and word.text == "*" and 0 < i < len(words) - 1:
            guards |= {i - 1, _operand_end(words, i + 1)}
    parts: list[str] = []
    at = words[0].begin
    for i, word in enumerate(words):
        text = source[at : word.end]
        if word.text == "." and texts[i + 1 : i + 3] == ["format", "("]:
            text = "|"
        elif word.text == "format" and i and texts[i - 1] == ".":
            text = FORMAT
        parts.append(text)
        at = word.end
        if i in guards:
            parts.append(f"|{SCALAR}")
    return "".join(parts)


def _operand_end(words: list[_Word], i: int) -> int:
    """The index of the last word of the operand that begins at `i`."""
    while i < len(words) - 1 and words[i].text in ("-", "+", "not"):
        i += 1
    depth = 0
    while True:
        depth += (words[i].text in _CLOSING) - (words[i].text in (")", "]", "}"))
        if i + 1 == len(words):
            return i
        follows, text = words[i + 1].text, words[i].text
        if depth == 0 and follows not in ("(", "[", ".", "|") and text not in (".", "|"):
            return i
        i += 1
