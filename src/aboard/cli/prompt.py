"""Where a prompt comes from, and other texts that a command is given."""

from __future__ import annotations

import sys
from pathlib import Path

from aboard.errors import UsageError

MAX_FILE_BYTES = 4 << 20


def read_prompt(argument: str | None) -> str:
    """The prompt of the command line, or stdin's whole text where that is absent or ``-``.

    Raises
    ------
    UsageError
        No prompt, one of nothing but spaces, or one that is not UTF-8.
    """
    text = _prompt(argument)
    if not text.strip():
        raise UsageError("the prompt is empty", hint='aboard run MODEL "..."')
    return text


def _prompt(argument: str | None) -> str:
    if argument is not None and argument != "-":
        return checked_text(argument, "the prompt")
    if argument is None and sys.stdin.isatty():
        raise UsageError(
            "no prompt, and stdin is a terminal",
            hint='Write it behind the model, aboard run MODEL "..."; or `aboard chat MODEL`.',
        )
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt on stdin is not UTF-8 at byte {error.start}") from None
    return text.removesuffix("\n").removesuffix("\r")


def read_file(path: Path) -> str:
    """The text of a file that an option names.

    Raises
    ------
    UsageError
        It can't be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror or error}") from None
    if len(octets) > MAX_FILE_BYTES:
        raise UsageError(f"{path}: is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 at byte {error.start}") from None


def checked_text(text: str, what: str) -> str:
    """`text`, an argument of this process, which must have been UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is not UTF-8 at character {error.start}") from None
    return text
