"""A folder of a server's own: its files and batches, sound after whatever ended the last server."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from aboard.closing import Closing
from aboard.errors import UsageError
from aboard.serve.aside import Aside
from aboard.serve.keeping.batches import Batches
from aboard.serve.keeping.blobs import Blobs
from aboard.serve.keeping.database import Database
from aboard.serve.keeping.disk import Reserve
from aboard.serve.keeping.files import Files
from aboard.serve.keeping.quotas import Quotas
from aboard.store.lock import held

_log = logging.getLogger(__name__)


class Kept(Closing):
    """What is kept in a folder; one server has it at a time.

    Bytes lie in `blobs`, under the name of their SHA-256; the database `kept.sqlite` says what they
    are and whose. Bytes get their name before the database tells of them, and lose it afterwards:
    whatever ends a server in between, nothing but bytes that nobody names is left, and they are
    removed at the next start.

    Parameters
    ----------
    folder : Path
        Made where there is none.
    quotas : Quotas, optional
    clock : callable
        The time, in seconds since 1970.

    Attributes
    ----------
    files : Files
    batches : Batches
    folder : Path
    database : Database
    blobs : Blobs
    quotas : Quotas
    aside : Aside
        Where its functions, which wait for the disk, are called.

    Raises
    ------
    UsageError
        The folder can't be used, another server has it, it is of a newer version, or it holds
        bytes that no database tells of: they may be somebody's.
    """

    def __init__(
        self,
        folder: Path,
        quotas: Quotas | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.quotas = quotas or Quotas()
        self._clock = clock
        self.aside = Aside(4, "aboard-keep")
        with ExitStack() as opened:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                opened.enter_context(held(folder / "lock", lambda: _refuse(folder)))
                self.blobs = Blobs(folder)
                self.database = opened.enter_context(
                    Database(folder / "kept.sqlite", may_be_new=self.blobs.is_empty())
                )
                reserve = Reserve(folder / "reserve")
                self.files = Files(self.database, self.blobs, reserve, self.quotas, self.now)
                self.batches = Batches(self.database, self.quotas, self.now)
                self.files.purge()
                n_swept = self.blobs.sweep(self.files.named)
            except OSError as error:
                raise UsageError(
                    f"{folder}: can't be used as a folder for files: {error.strerror}",
                    hint="Give a folder that the server may write to.",
                ) from None
            if n_swept:
                _log.info("swept", extra={"facts": {"n_files": n_swept}})
            self._held = opened.pop_all()

    def now(self) -> int:
        """The time, in whole seconds since 1970."""
        return int(self._clock())

    def close(self) -> None:
        """Let another server have the folder."""
        self.aside.close(wait=True)
        self._held.close()


def _refuse(folder: Path) -> None:
    raise UsageError(
        f"{folder}: another server keeps its files there",
        hint="Give each server a folder of its own, or end the other one.",
    )
