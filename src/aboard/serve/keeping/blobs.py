"""Bytes on the disk under the name of their SHA-256: the same bytes are kept once."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aboard.closing import Closing
from aboard.publishing import publish
from aboard.serve.keeping.disk import full_disk_told

_NAME = re.compile("[0-9a-f]{64}")
_SUFFIX = ".part"  # of bytes that are being written


class Incoming(Closing):
    """Bytes that are being written; once they are closed nothing is left but what was kept.

    Attributes
    ----------
    path : Path
        Where they are until then.
    size_bytes : int
        How many there are so far.
    """

    def __init__(self, folder: Path, on_close: Callable[[Incoming], None] | None) -> None:
        self.path = folder / f"{secrets.token_hex(16)}{_SUFFIX}"
        self._on_close = on_close
        self.size_bytes = 0
        self._digest = hashlib.sha256()
        with full_disk_told():
            self._file = self.path.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises
        ------
        StorageFull
            The disk has no room for them.
        """
        with full_disk_told():
            self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    def finish(self) -> str:
        """See to it that all bytes are on the disk; gives their SHA-256.

        Raises
        ------
        StorageFull
            The disk has no room for them.
        """
        with full_disk_told():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def close(self) -> None:
        """Remove what wasn't kept."""
        with suppress(OSError):  # what is still in memory may find no room; it isn't wanted
            self._file.close()
        self.path.unlink(missing_ok=True)
        if self._on_close is not None:
            self._on_close(self)


class Blobs:
    """The bytes of all files.

    Parameters
    ----------
    folder : Path
        Made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._incoming = folder / "incoming"
        for each in (self._blobs, self._incoming):
            each.mkdir(mode=0o700, exist_ok=True)

    def incoming(self, on_close: Callable[[Incoming], None] | None = None) -> Incoming:
        """Bytes to be written; `on_close` is called with them once they are closed."""
        return Incoming(self._incoming, on_close)

    def keep(self, incoming: Incoming, name: str) -> None:
        """Have bytes that are on the disk under their name; those that are there already stay."""
        path = self.path(name)
        if not path.exists():
            with full_disk_told():
                publish(incoming.path, path)

    def path(self, name: str) -> Path:
        """Where the bytes of a name are."""
        return self._blobs / name

    def remove(self, name: str) -> None:
        """Have them no more."""
        self.path(name).unlink(missing_ok=True)

    def is_empty(self) -> bool:
        """Whether there is nothing at all, neither of a server's own nor anybody's."""
        return not any(any(each.iterdir()) for each in (self._blobs, self._incoming))

    def is_sound(self, name: str) -> bool:
        """Whether the bytes of a name are there, and are those that were kept."""
        try:
            with self.path(name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == name
        except OSError:
            return False

    def sweep(self, wanted: Callable[[str], bool]) -> int:
        """Remove bytes that never came to an end, or that nothing names; gives how many were.

        What isn't called as bytes are here is somebody else's, and stays.
        """
        left = [path for path in self._incoming.iterdir() if path.suffix == _SUFFIX]
        left += [
            path
            for path in self._blobs.iterdir()
            if _NAME.fullmatch(path.name) and not wanted(path.name)
        ]
        for path in left:
            path.unlink()
        return len(left)
