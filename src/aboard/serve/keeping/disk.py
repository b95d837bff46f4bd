"""A disk that is full: its errors, whoever meets them first, and room to make room in."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aboard.errors import StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RESERVE_BYTES = 1 << 20
_SQLITE_FULL = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Have a full disk told as `StorageFull`.

    Raises
    ------
    StorageFull
        The system had no room for what was written within the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full() from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _SQLITE_FULL:
            raise
        raise _full() from error


class Reserve:
    """Room on the disk that is held for what makes more of it: to delete is to write, too.

    Parameters
    ----------
    path : Path
        The file that holds it; a full disk may have none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fill()

    @contextmanager
    def given(self) -> Iterator[None]:
        """Give the room for what the block does, and take it again."""
        self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            self._fill()

    def _fill(self) -> None:
        with suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return
            try:
                with self._path.open("wb") as file:
                    file.write(os.urandom(RESERVE_BYTES))  # zeros may take no room
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                self._path.unlink(missing_ok=True)


def _full() -> StorageFull:
    return StorageFull(
        "the server's disk is full; nothing was kept of this",
        hint="Delete files that nobody needs, or have the server's data moved to a larger disk.",
    )
