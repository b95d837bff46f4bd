"""Errors of a disk that is full, whoever meets them first."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from aboard.errors import StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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


def _full() -> StorageFull:
    return StorageFull(
        "the server's disk is full; nothing was kept of this",
        hint="Delete files that nobody needs, or have the server's data moved to a larger disk.",
    )
