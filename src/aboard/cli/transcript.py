"""A conversation as a file: `{"messages": [...]}`, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from aboard.cli.conversation import Message
from aboard.errors import UsageError


def save_transcript(name: str, messages: Sequence[Message]) -> Path:
    """Write `messages` to the new file `name`, which may begin with ``~``, and return its path.

    It is written beside, for its author's eyes only, and then given its name.

    Raises
    ------
    UsageError
        The file exists, or can't be written.
    """
    try:
        path = Path(name).expanduser()
        content = json.dumps({"messages": list(messages)}, ensure_ascii=False, indent=1)
        descriptor, fresh = tempfile.mkstemp(prefix=".aboard-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{content}\n")
                file.flush()
                os.fsync(file.fileno())
            _give_name(Path(fresh), path)
        finally:
            Path(fresh).unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"{path} exists", hint="Give another name.") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:  # an unknown ~user; a zero byte
        raise UsageError(f"{name!r} is no name of a file: {error}") from None
    return path


def _give_name(fresh: Path, path: Path) -> None:
    """Name a finished file, unless the name is taken."""
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        raise
    except OSError:  # a file system without links; or the name itself is refused, now as then
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        fresh.rename(path)
