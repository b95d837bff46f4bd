"""The lines of a chat: typed with editing and history, or read from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aboard.cli.output import note
from aboard.errors import UsageError

if TYPE_CHECKING:
    from prompt_toolkit.history import History

PROMPT = "> "


def is_interactive() -> bool:
    """Whether someone types: stdin and stdout are both a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def lines(*, keep_history: bool) -> Iterator[str]:
    """Yield what is typed or piped, until Ctrl-D or the end of stdin."""
    return _typed(keep_history) if is_interactive() else _piped()


def _piped() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError(f"line {number} of stdin is not UTF-8") from None


def _typed(keep_history: bool) -> Iterator[str]:
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(history=_history(keep_history))
    note("Type a message; /help lists the commands. Ctrl-C stops an answer, Ctrl-D leaves.")
    while True:
        try:
            yield session.prompt(PROMPT)
        except KeyboardInterrupt:
            continue  # drops the line that was being typed, as a shell does
        except EOFError:
            return


def _history(keep: bool) -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if not keep:
        return InMemoryHistory()
    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # what was typed is for its author's eyes only
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        note(f"aboard: {path}: {error.strerror}; what you type is not kept")
        return InMemoryHistory()
    return FileHistory(path)


def history_path() -> Path:
    """Where typed lines are kept: under the XDG state folder, or `ABOARD_HOME`."""
    if home := os.environ.get("ABOARD_HOME"):
        return Path(home).absolute() / "chat_history"
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path.home() / ".local" / "state"
    return state / "aboard" / "chat_history"
