"""The folder that models lie in, and whether what lies there is what the catalogue promises.

<folder>/NAME.gguf           the model, always whole: it is written elsewhere and renamed
<folder>/NAME.gguf.json      its record: the hash it had, with the size and time it had then
<folder>/.NAME.lock          held by the one `pull` that may write NAME
<folder>/.NAME.part-XXXX/    that pull's workplace; one without a holder is a leftover
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from aboard.errors import StoreError
from aboard.progress import Progress, silent
from aboard.publishing import publish
from aboard.store.catalogue import CATALOGUE, Entry

CHUNK_BYTES = 1 << 20
ELSEWHERE = "or set ABOARD_HOME to a folder on another disk."


class State(Enum):
    """What lies in the folder under a name."""

    ABSENT = "absent"
    PULLED = "pulled"
    ALTERED = "altered"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of models and the catalogue they are checked against."""

    folder: Path
    catalogue: Mapping[str, Entry]

    def entry(self, name: str) -> Entry:
        """The catalogue's entry of that name.

        Raises
        ------
        StoreError
            The catalogue has no such name.
        """
        try:
            return self.catalogue[name]
        except KeyError:
            raise StoreError(
                f"the catalogue has no model named {name!r}",
                hint=f"It has: {', '.join(sorted(self.catalogue))}.",
            ) from None

    def path(self, entry: Entry) -> Path:
        """Where that model lies, or would lie."""
        return self.folder / f"{entry.name}.gguf"

    def state(self, entry: Entry, *, rehash: bool = False, progress: Progress = silent) -> State:
        """What lies in the folder under that name.

        The file is hashed where its record is missing or no longer fits its size and time, or
        when `rehash` asks for it. Nothing is written.

        Raises
        ------
        StoreError
            The folder or the file can't be read.
        """
        with folder_errors(self.folder):
            return self._state(entry, rehash, progress)

    def _state(self, entry: Entry, rehash: bool, progress: Progress) -> State:
        path = self.path(entry)
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:
            return State.ABSENT
        if size_bytes != entry.size_bytes:
            return State.ALTERED
        if not rehash and self.is_recorded(entry):
            return State.PULLED
        found = hash_file(path, size_bytes, progress)
        return State.PULLED if found == entry.sha256 else State.ALTERED

    def is_recorded(self, entry: Entry) -> bool:
        """Whether the file was found right once and has kept its size and time since."""
        try:
            return self._read_record(entry) == _record(entry, self.path(entry))
        except FileNotFoundError:
            return False

    def write_record(self, entry: Entry, workplace: Path) -> None:
        """Remember that the file was found to be right, so that it need not be hashed again.

        Only the holder of the lock may call this; `workplace` is its own folder.
        """
        if self.is_recorded(entry):
            return
        fresh = workplace / "record.json"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(_record(entry, self.path(entry)), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        publish(fresh, self._record_path(entry))

    def _record_path(self, entry: Entry) -> Path:
        return self.folder / f"{entry.name}.gguf.json"

    def _read_record(self, entry: Entry) -> object:
        try:
            return json.loads(self._record_path(entry).read_bytes())
        except (OSError, ValueError):
            return None  # no record, or a broken one: the file itself is hashed


def default_store() -> Store:
    """The store of this user: `ABOARD_HOME`, else the XDG data folder."""
    if home := os.environ.get("ABOARD_HOME"):
        return Store(Path(home).absolute() / "models", CATALOGUE)
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not data.is_absolute():  # the XDG specification ignores a relative path
        data = Path.home() / ".local" / "share"
    return Store(data / "aboard" / "models", CATALOGUE)


@contextlib.contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn what the system refuses in a store's folder into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder}: {error.strerror or error}",
            hint=f"Make the folder readable and writable, {ELSEWHERE}",
        ) from error


def hash_file(path: Path, total_bytes: int, progress: Progress) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    done_bytes = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done_bytes += len(chunk)
            progress("verify", done_bytes, total_bytes)
    return digest.hexdigest()


def _record(entry: Entry, path: Path) -> dict[str, object]:
    status = path.stat()
    return {
        "name": entry.name,
        "package": entry.requirement,
        "license": entry.license,
        "sha256": entry.sha256,
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }
