"""A finished file is put in its place: whoever looks sees the old one or the whole new one."""

from __future__ import annotations

import os
from pathlib import Path


def publish(fresh: Path, path: Path) -> None:
    """Rename `fresh`, whose bytes are on the disk, to `path`, and see that this stays so."""
    fresh.replace(path)
    if os.name != "posix":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
