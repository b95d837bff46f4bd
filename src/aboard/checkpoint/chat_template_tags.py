"""A chat template cut into texts and tags, and tags into words, as Jinja2 does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aboard.errors import TemplateError

RESERVED = "aboard_"

# The longest tag of 70 published templates has 56 words.
MAX_WORDS = 512

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
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a tag and where it stands in the source."""

    kind: str  # name, number, string or sign
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: `{{ ... }}` or `{% ... %}`, with at least one word."""

    opening: str  # {{ or {%, with - or + where it has one
    words: list[Word]
    closing: str
    end: int  # where the text goes on


def cut(source: str) -> list[str | Tag]:
    """The texts and comments, as they stand, and the tags of a template, in order."""
    parts: list[str | Tag] = []
    at = 0
    while (opening := _OPEN.search(source, at)) is not None:
        begin = opening.start()
        parts.append(source[at:begin])
        if opening[0] == "{#":
            at = source.find("#}", begin + 2) + 2
            if at < 2:
                raise template_error(source, begin, "a comment has no end")
            parts.append(source[begin:at])
        else:
            tag = _read_tag(source, begin)
            parts.append(tag)
            at = tag.end
    parts.append(source[at:])
    return parts


def template_error(source: str, at: int, problem: str) -> TemplateError:
    """The error for a problem at a place in the source."""
    return TemplateError(f"chat template, line {source.count(chr(10), 0, at) + 1}: {problem}")


def _read_tag(source: str, begin: int) -> Tag:
    opening = source[begin : begin + 2]
    at = begin + 2
    if source[at : at + 1] in ("-", "+"):
        opening += source[at]
        at += 1
    words: list[Word] = []
    brackets: list[str] = []
    while True:
        end = _END.match(source, at)
        if end is not None and not brackets and end[2] == _ENDS[opening[:2]]:
            if not words:
                raise template_error(source, begin, "a tag is empty")
            return Tag(opening, words, end[1] + end[2], end.end())
        found = _WORD.match(source, at)
        if found is None or found.lastgroup is None:
            what = source[at : at + 20].strip() or "the end of the template"
            raise template_error(source, at, f"found {what!r} within a tag")
        text = found[found.lastgroup]
        word = Word(found.lastgroup, text, found.start(found.lastgroup), found.end())
        if text in CLOSING:
            brackets.append(CLOSING[text])
        elif text in CLOSING.values() and (not brackets or brackets.pop() != text):
            raise template_error(source, at, f"{text!r} closes nothing")
        if word.kind == "name" and text.startswith(RESERVED):
            raise template_error(source, at, f"the name {text!r} is reserved")
        words.append(word)
        if len(words) > MAX_WORDS:
            raise template_error(source, begin, f"a tag has more than {MAX_WORDS} words")
        at = found.end()
