"""Which templates could make a namespace that holds itself: looking at one would never end.

A namespace is the one value of a template that changes after it was made. So none may be stored
in anything: it is made by `set name = namespace(...)`, stands before a dot, and is passed to
macros. Names are followed through the macros' parameters, whatever the scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aboard.checkpoint.chat_template_tags import CLOSING, Tag, Word, template_error

NAMESPACE = "namespace"


def check_namespaces(source: str, tags: Sequence[Tag]) -> None:
    """Refuse a template in which a namespace could be stored.

    Raises
    ------
    TemplateError
        A namespace stands where it is not followed by a dot.
    """
    macros = {
        tag.words[1].text: [name for _, name in parameters(tag.words[2:])]
        for tag in tags
        if tag.words[0].text == "macro" and len(tag.words) > 1
    }
    holders: set[str] = set()  # the names that may be a namespace
    for tag in tags:
        holders |= _made(source, tag)
    n_known = -1
    while n_known != len(holders):
        n_known = len(holders)
        for tag in tags:
            holders |= _passed_on(source, tag, holders, macros)


def parameters(words: Sequence[Word]) -> Iterator[tuple[int, str]]:
    """The names in a parenthesis of parameters and where they stand in `words`.

    None where `words` begins with something else.
    """
    depth = 0
    for i, word in enumerate(words):
        if depth == 1 and word.kind == "name" and words[i - 1].text in ("(", ","):
            yield i, word.text
        depth += (word.text in CLOSING) - (word.text in CLOSING.values())
        if depth == 0:
            return


def _made(source: str, tag: Tag) -> set[str]:
    """The name that this tag makes a namespace, in a set of its own."""
    texts = [word.text for word in tag.words]
    made: set[str] = set()
    for i, word in enumerate(tag.words):
        before, after = _around(texts, i)
        if word.text != NAMESPACE or word.kind != "name" or before in (".", "|"):
            continue
        if after == "(":
            if texts[0] != "set" or texts[2:4] != ["=", NAMESPACE] or i != 3:
                raise template_error(source, word.begin, "namespace() may only be what 'set' sets")
            if _closing(tag.words, i + 1) != len(texts) - 1:
                raise template_error(source, word.begin, "namespace() is followed by something")
            made.add(texts[1])
        # As the name of a parameter, or of one that is part of a text, it is not the function.
        elif not (after == "=" or texts[0] == "macro" or {before, after} & {"+", "~"}):
            raise template_error(source, word.begin, "'namespace' stands without parentheses")
    return made


def _passed_on(source: str, tag: Tag, holders: set[str], macros: dict[str, list[str]]) -> set[str]:
    """The parameters of macros that get a namespace in this tag."""
    texts = [word.text for word in tag.words]
    passed: set[str] = set()
    brackets: list[tuple[int, int]] = []  # where each opens, and the commas in it so far
    for i, word in enumerate(tag.words):
        if word.text in CLOSING:
            brackets.append((i, 0))
        elif word.text in CLOSING.values():
            brackets.pop()
        elif word.text == "," and brackets:
            brackets[-1] = (brackets[-1][0], brackets[-1][1] + 1)
        if word.kind != "name" or word.text not in holders:
            continue
        before, after = _around(texts, i)
        made_here = i == 1 and texts[0] == "set" and texts[2:4] == ["=", NAMESPACE]
        if before in (".", "|") or after in (".", "=", "is") or made_here:
            continue
        taker = _parameter(texts, i, brackets, macros)
        if taker is None:
            raise template_error(
                source, word.begin, f"namespace {word.text!r} is used without an attribute"
            )
        passed.add(taker)
    return passed


def _parameter(
    texts: list[str], i: int, brackets: list[tuple[int, int]], macros: dict[str, list[str]]
) -> str | None:
    """The parameter that the argument at `i` is given to, None where it isn't one of a macro."""
    before, after = _around(texts, i)
    if not brackets or after not in (",", ")") or before not in ("(", ",", "="):
        return None
    opened, position = brackets[-1]
    name = texts[opened - 1] if opened else ""
    if texts[opened] != "(" or name not in macros or _around(texts, opened - 1)[0] in (".", "|"):
        return None
    if before == "=":
        return texts[i - 2]
    return macros[name][position] if position < len(macros[name]) else None


def _around(texts: list[str], i: int) -> tuple[str, str]:
    return texts[i - 1] if i else "", texts[i + 1] if i + 1 < len(texts) else ""


def _closing(words: Sequence[Word], i: int) -> int:
    """Where the bracket that opens at `i` is closed."""
    depth = 0
    for at in range(i, len(words)):
        depth += (words[at].text in CLOSING) - (words[at].text in CLOSING.values())
        if depth == 0:
            return at
    return len(words)
