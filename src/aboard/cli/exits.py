"""Exit codes, and the one place where an error becomes a message and a code.

| code | meaning |
|---|---|
| 0 | done |
| 1 | it can't be done: the message says what was found, the hint what to do |
| 2 | the command line is wrong |
| 3 | `attest --check`: this machine's results differ from the file's |
| 4 | `check` found the model unsound; with `--strict`, or odd |
| 130 | stopped by Ctrl-C |
| 141 | whoever read the output went away |
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from aboard.errors import AboardError, AttestationMismatch, UsageError

FAILED = 1
USAGE = 2
DIFFERS = 3
UNSOUND = 4
INTERRUPTED = 130
BROKEN_PIPE = 141


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """Turn what a command raises into a message on stderr and an exit code.

    With `ABOARD_DEBUG=1` the traceback is shown instead.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _let_go_of_stdout()
        raise typer.Exit(BROKEN_PIPE) from None
    except AboardError as error:
        _tell(error, error.hint)
        raise typer.Exit(_code(error)) from None
    except OSError as error:
        _let_go_of_stdout_if_unwritable()
        where = f"{error.filename}: " if error.filename else ""
        _tell(error, None, f"{where}{error.strerror or error}")
        raise typer.Exit(FAILED) from None


def _code(error: AboardError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return DIFFERS if isinstance(error, AttestationMismatch) else FAILED


def _tell(error: Exception, hint: str | None, message: str | None = None) -> None:
    from aboard.cli.output import note

    if os.environ.get("ABOARD_DEBUG", "") not in ("", "0"):
        raise error
    with contextlib.suppress(OSError):  # nobody reads it: the exit code must do
        note(f"aboard: {message or error}")
        if hint:
            note(f"  {hint}")


def _let_go_of_stdout_if_unwritable() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Point stdout at nothing, or Python complains of it once more while it exits."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
