"""Bytes of a file that nobody vouches for: read by position, or whole where it is small."""

from __future__ import annotations

import os
import stat
import weakref
from pathlib import Path

from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile, UsageError

CUT_SHORT = "The file was cut short or damaged: get it again."


class FileBytes:
    """A file open for reading; `read_into` may be called from several threads.

    Raises
    ------
    CheckpointError
        The file is missing, unreadable or no ordinary file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        self._close = weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        state = os.fstat(descriptor)
        self.size = state.st_size
        if not stat.S_ISREG(state.st_mode):
            self.close()
            raise CheckpointError(f"{path}: is not an ordinary file")

    def close(self) -> None:
        """Let go of the file; reads afterwards are refused."""
        self._close()

    def read_into(self, buffer: memoryview, position: int) -> None:
        """Fill `buffer`, flat bytes, from byte `position` of the file on."""
        if not self._close.alive:
            raise UsageError(f"{self.path}: was closed before this read")
        while buffer:
            try:
                n_read = os.preadv(self._descriptor, [buffer], position)
            except OSError as error:
                raise _unreadable(self.path, error) from None
            if n_read == 0:
                raise MalformedFile(
                    f"{self.path}: the file was cut short: it ended at byte {position}, "
                    f"expected at least {len(buffer)} bytes more",
                    hint=CUT_SHORT,
                )
            buffer, position = buffer[n_read:], position + n_read


def read_whole(path: Path, max_bytes: int) -> bytes:
    """The bytes of a small file.

    Raises
    ------
    CheckpointError
        It is missing, unreadable, no ordinary file, or longer than `max_bytes`.
    """
    file = FileBytes(path)
    try:
        if file.size > max_bytes:
            raise UnsupportedFile(
                f"{path}: has {file.size} bytes, Aboard reads at most {max_bytes} of such a file"
            )
        content = bytearray(file.size)
        file.read_into(memoryview(content), 0)
    finally:
        file.close()
    return bytes(content)


def is_there(path: Path) -> bool:
    """Whether a folder has such an entry, though it may lead nowhere: then reading it fails."""
    return os.path.lexists(path)


def shown(name: str) -> str:
    """`name` as messages show it: quoted, and short however long it is."""
    return repr(name if len(name) <= 80 else name[:77] + "...")


def _unreadable(path: Path, error: OSError | ValueError) -> CheckpointError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return CheckpointError(f"{path}: can't be read: {reason}", hint="Check the path.")
