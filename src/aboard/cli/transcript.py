"""A conversation as a file: `{"messages": [...]}`, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aboard.cli.conversation import Message
from aboard.errors import UsageError
from aboard.publishing import publish_new, written_beside


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
        with written_beside(path, publish_new, mode=0o600) as file:
            file.write(f"{content}\n".encode())
    except FileExistsError:
        raise UsageError(f"{path} exists", hint="Give another name.") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (RuntimeError, ValueError) as error:  # an unknown ~user; a zero byte
        raise UsageError(f"{name!r} is no name of a file: {error}") from None
    return path
