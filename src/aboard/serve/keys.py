"""Keys from a file or the environment."""

from __future__ import annotations

import os
from pathlib import Path

from aboard.errors import UsageError

VARIABLE = "ABOARD_API_KEY"
SHORTEST = 16


def read_keys(file: Path | None) -> list[str]:
    """The keys in `file`, one a line, and in ABOARD_API_KEY, separated by commas.

    Empty lines and those that begin with # count for nothing.

    Raises
    ------
    UsageError
        The file can't be read or has no key, or a key is shorter than 16 characters or is not
        of printable ASCII.
    """
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    for key in keys:
        _check(key, VARIABLE)
    if file is None:
        return keys
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: can't be read: {_reason(error)}") from None
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise UsageError(f"{file}: holds no key", hint="One a line; `openssl rand -hex 32`.")
    for key in found:
        _check(key, str(file))
    return keys + found


def _check(key: str, where: str) -> None:
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{where}: a key has {len(key)} characters, expected at least {SHORTEST} of ASCII "
            "without spaces",
            hint="Make one: `openssl rand -hex 32`.",
        )


def _reason(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else "no UTF-8"
