"""Lark grammars that users write: JSON Schemas in them are compiled, a few things are refused."""

from __future__ import annotations

import json
import re

from aboard.errors import GrammarError

MAX_CHARS = 1 << 20

# Strings, regular expressions and comments, in which nothing is looked for; then what is.
_PARTS = re.compile(
    r'(?P<quoted>"(?:\\.|[^"\\\n])*"|/(?!/)(?:\\.|[^/\\\n])+/|(?://|#)[^\n]*)'
    r"|(?P<json>%json\b)"
    r"|(?P<refused>%llguidance\b|\b(?:temperature|max_tokens|stop|stop_capture)\s*=)"
)


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
            rule, more, at = _schema(text, at, len(rules))
            kept.append(rule)
            rules.append(more)
        else:
            kept.append(found["quoted"])
    return "\n".join(["".join([*kept, text[at:]]), *rules])


def _schema(text: str, at: int, number: int) -> tuple[str, str, int]:
    """The rule that stands for the schema at `at`, its definition, and where the text goes on."""
    from aboard.constrain.schema.compiling import compile_schema

    start = at + len(text[at:]) - len(text[at:].lstrip())
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        raise GrammarError(f"what follows %json at {start} is no JSON") from None
    name = f"json-{number}"
    return name, compile_schema(text[start:end], name=name), end
