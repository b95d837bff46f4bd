"""A finished file is put in its place: whoever looks sees the old one or the whole new one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

Place = Callable[[Path, Path], None]
"""What gives a finished file, the first, the name of the second."""


def publish(fresh: Path, path: Path) -> None:
    """Rename `fresh`, whose bytes are on the disk, to `path`, and see that this stays so."""
    fresh.replace(path)
    _keep_names(path.parent)


def publish_new(fresh: Path, path: Path) -> None:
    """Give `fresh`, whose bytes are on the disk, the name `path`, unless that is taken.

    Raises
    ------
    FileExistsError
        It is.
    """
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        raise
    except OSError:  # a file system without links; or the name itself is refused, now as then
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        fresh.rename(path)
    _keep_names(path.parent)


@contextmanager
def written_beside(path: Path, place: Place = publish, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which `place` puts at `path` when the `with` ends; an error removes it.

    Of several writers of one file, the last to finish has it. `mode`: as for `os.open`.

    Raises
    ------
    OSError, ValueError
        The file can't be written, or `path` is no name.
    """
    # Not named after the file, whose name may be as long as names may be.
    fresh = path.parent / f".aboard-{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(fresh, flags | getattr(os, "O_CLOEXEC", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place(fresh, path)
    finally:  # once it was renamed, it is gone from here
        with suppress(OSError):
            fresh.unlink()


def _keep_names(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
