"""Lark grammars that users write: JSON Schemas in them are compiled, a few things are refused."""

from __future__ import annotations

import json
import re

from aboard.constrain.language.derivative import Questions
from aboard.errors import GrammarError

MAX_CHARS = 100_000
MAX_PARTS = 2_000
"""Rules, terminals and brackets, with the rules that schemas take.

llguidance follows them by calls, which must fit on a stack.
"""

MAX_JOINED = 8
"""Of `&` and `~`: what each takes grows with the others."""

MAX_CATEGORIES = 500
"""Of `\\p` and `\\P`, which stand for hundreds of ranges each."""

# Strings, regular expressions and comments, in which nothing is looked for; then what is.
_PARTS = re.compile(
    # One that doesn't end goes to the end of the line: it is found wrong with the first answer.
    r'(?P<quoted>"(?:\\.|[^"\\\n])*"?|/(?!/)(?:\\.|[^/\\\n])+/?|(?://|#)[^\n]*)'
    r"|(?P<json>%json\b)"
    r"|(?P<refused>%llguidance\b|\b(?:temperature|max_tokens|stop|stop_capture)\s*=)"
)
_SPACE = re.compile(r"\s*")


def with_schemas(text: str) -> str:
    """The grammar `text` with rules in place of its JSON Schemas.

    Raises
    ------
    GrammarError
        A schema can't be compiled, or there is something that isn't supported.
    """
    if len(text) > MAX_CHARS:
        raise GrammarError(f"the grammar has {len(text)} characters, expected at most {MAX_CHARS}")
    kept: list[str] = []
    rules: list[str] = []
    questions = Questions()
    at = 0
    while (found := _PARTS.search(text, at)) is not None:
        kept.append(text[at : found.start()])
        at = found.end()
        if found["refused"]:
            raise GrammarError(
                f"{found['refused']!r} in a grammar isn't supported",
                hint="Ask for sampling and limits beside the grammar; write suffix= or lazy.",
            )
        if found["json"]:
            rule, more, at = _schema(text, at, len(rules), questions)
            kept.append(rule)
            rules.append(more)
        else:
            kept.append(found["quoted"])
    kept.append(text[at:])
    _check_parts("".join(kept), sum(rule.count("\n") for rule in rules))
    return "\n".join(["".join(kept), *rules])


def _schema(text: str, at: int, number: int, questions: Questions) -> tuple[str, str, int]:
    """The rule that stands for the schema at `at`, its definition, and where the text goes on."""
    from aboard.constrain.schema.compiling import compile_schema

    found = _SPACE.match(text, at)
    assert found is not None  # it matches the empty text
    try:
        _, end = json.JSONDecoder().raw_decode(text, found.end())
    except (ValueError, RecursionError):
        raise GrammarError(f"what follows %json at {found.end()} is no JSON") from None
    name = f"json-{number}"
    return name, compile_schema(text[found.end() : end], name=name, questions=questions), end


def _check_parts(text: str, n_rules: int) -> None:
    """Refuse what llguidance takes too much for.

    `text` has no schemas in it; those take `n_rules` more, and a chain can lead through both.
    """
    n_categories = len(re.findall(r"\\[pP]", text))
    bare = _PARTS.sub("", text)
    for n, most, what in (
        (sum(map(bare.count, ":([")) + n_rules, MAX_PARTS, "rules and brackets"),
        (sum(map(bare.count, "&~")), MAX_JOINED, "& and ~"),
        (n_categories, MAX_CATEGORIES, "\\p"),
    ):
        if n > most:
            raise GrammarError(f"the grammar has {n} {what}, expected at most {most}")
