"""The built-in calibration texts: prose, twenty languages, code, lists and data, conversations.

All of it was written for Aboard. A change of it changes what `aboard quantize` makes.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import cast

Conversation = list[dict[str, str]]

_FOLDER = Path(__file__).parent / "texts"
_SEPARATOR = "\n----\n"


@cache
def documents() -> tuple[str, ...]:
    """Texts of a paragraph or a page each, of different kinds in turns."""
    kinds = [
        _read("prose.txt").split("\n\n"),
        _read("code.txt").split(_SEPARATOR),
        _read("languages.txt").split("\n\n"),
        _read("structured.txt").split(_SEPARATOR),
    ]
    # Every kind is spread evenly, so that windows that are held out have some of each.
    places = [
        (place / len(kind), number, text)
        for number, kind in enumerate(kinds)
        for place, text in enumerate(kind)
    ]
    return tuple(text.strip("\n") + "\n" for _, _, text in sorted(places))


@cache
def conversations() -> tuple[Conversation, ...]:
    """Conversations as chat templates take them."""
    return tuple(cast(list[Conversation], json.loads(_read("dialogues.json"))))


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
