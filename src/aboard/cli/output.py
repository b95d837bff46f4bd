"""What the commands print, and where.

Text from a model or from a file may hold control characters; on a terminal those could move the
cursor, rename the window or worse, so there they become a replacement character. What goes to a
file or a pipe is left as it is.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from aboard.json_writing import json_of

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever the caller gave.

    One that was closed (``>&-``) reads as empty or swallows what is written; stdout and stderr
    replace what their encoding can't hold instead of failing.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # of the free descriptors the lowest is taken: in this order, the stream's own
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def printable(text: str) -> str:
    """`text` with control characters, but for newline and tab, made harmless."""
    return _CONTROL.sub("\ufffd", text)


def note(text: str) -> None:
    """Print a line on stderr."""
    _write(sys.stderr, f"{text}\n")


def result(text: str) -> None:
    """Print a line on stdout."""
    _write(sys.stdout, f"{text}\n")


def stream(text: str) -> None:
    """Print a piece of text on stdout, at once."""
    _write(sys.stdout, text)
    sys.stdout.flush()


def json_result(value: object, *, indent: int | None = 2) -> None:
    """Print a dataclass, a mapping or a sequence as one JSON value on stdout; see `json_of`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    result(json_of(value, indent=indent))
    sys.stdout.flush()


def columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows on stdout, aligned in columns two spaces apart."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        result("  ".join(cells).rstrip())


def facts(values: Mapping[str, str]) -> None:
    """Print named values on stdout, one a line, the names aligned."""
    columns([(name, value) for name, value in values.items()])


def _write(file: TextIO, text: str) -> None:
    file.write(printable(text) if file.isatty() else text)
