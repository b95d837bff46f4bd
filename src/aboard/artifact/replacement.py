"""A file that takes its place when it is whole: until then the old one stays, or none.

It is written beside, as `.NAME.part`. A kill leaves that file, whose lock the system releases; the
next writer of the same NAME takes it over and begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from aboard.closing import Closing
from aboard.errors import ArtifactError
from aboard.publishing import publish

try:
    import fcntl
except ImportError:  # Windows: two writers of one name are not told of each other
    fcntl = None  # type: ignore[assignment]

_HINTS = {
    errno.ENOENT: "Make its folder first, or name another one.",
    errno.ENAMETOOLONG: "Give it a shorter name.",
}
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


class Replacement(Closing):
    """A new file for `path`; `publish` puts it there, `close` without that removes it.

    Parameters
    ----------
    path : Path
        What is to be written; what lies there stays as it is until `publish`.
    size_bytes : int
        How long the file will be; where the disk hasn't so much room, nothing is begun.

    Raises
    ------
    ArtifactError
        The place can't be written, another process is writing it, or the disk is too small.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._descriptor = -1
        try:
            if not path.name or (path.exists() and not path.is_file()):
                raise ArtifactError(f"{path}: is no ordinary file", hint="Name a new file.")
            self._fresh = path.with_name(f".{path.name}.part")
            self._descriptor = _locked(self._fresh)
            self._require_room()
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            self.close()
            raise self._failure(error) from None
        except BaseException:
            self.close()
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`, flat bytes."""
        view = memoryview(data).cast("B")
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._failure(error) from None

    def publish(self) -> None:
        """Put the file in its place, once its bytes are on the disk."""
        try:
            os.fsync(self._descriptor)
            publish(self._fresh, self.path)
        except OSError as error:
            raise self._failure(error) from None
        os.close(self._descriptor)
        self._descriptor = -1

    def close(self) -> None:
        """Remove what was not published; once more does nothing."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):  # before the lock is gone: nobody else's file
            self._fresh.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def _require_room(self) -> None:
        if not hasattr(os, "fstatvfs"):
            return
        state = os.fstatvfs(self._descriptor)
        free_bytes = state.f_bavail * state.f_frsize + os.fstat(self._descriptor).st_blocks * 512
        if free_bytes < self.size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _failure(self, error: OSError) -> ArtifactError:
        if error.errno in _FULL:
            return ArtifactError(
                f"{self.path.parent}: the disk is full; {self.path.name} takes "
                f"{self.size_bytes / 1e6:,.1f} MB",
                hint="Free some space, or name a file on another disk.",
            )
        return ArtifactError(
            f"{self.path}: can't be written: {error.strerror or error}",
            hint=_HINTS.get(error.errno or 0, "Name a file in another folder, or on another disk."),
        )


def require_writable(path: str | Path) -> None:
    """Refuse, before hours of work, a place where no file can be written.

    Raises
    ------
    ArtifactError
        The folder isn't there or can't be written, or `path` is a folder.
    """
    path = Path(path)
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ArtifactError(
            f"{path}: no file can be written there",
            hint="Name a file in a folder that exists.",
        )


def _locked(fresh: Path) -> int:
    """A descriptor of the file `fresh`, new or left by a kill, that no other writer has."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(fresh, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, f"{fresh.name} is no ordinary file")
            # Who held the lock before may have put the file in its place, or removed it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(found, fresh.lstat()):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise ArtifactError(
                f"{fresh}: another process is writing it", hint="Wait until that one has finished."
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
