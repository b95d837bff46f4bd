"""Where a prompt comes from."""

from __future__ import annotations

import sys

from aboard.errors import UsageError


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


def checked_text(text: str, what: str) -> str:
    """`text`, an argument of this process, which must have been UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is not UTF-8 at character {error.start}") from None
    return text
