"""The files that are kept, and whose they are."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aboard.errors import Overloaded, StorageFull

if TYPE_CHECKING:
    from aboard.serve.keeping.blobs import Blobs, Incoming
    from aboard.serve.keeping.database import Database
    from aboard.serve.keeping.disk import Reserve
    from aboard.serve.keeping.quotas import Quotas

_COLUMNS = "number, id, owner, purpose, filename, size_bytes, blob, created_at, expires_at"
_THERE = "(expires_at IS NULL OR expires_at > ?)"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file; times are in seconds since 1970, `number` grows from file to file."""

    number: int
    id: str
    owner: str
    purpose: str
    filename: str
    size_bytes: int
    blob: str
    created_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """What a file is called and meant for; `keep_s`: seconds until it expires."""

    owner: str
    purpose: str
    filename: str
    keep_s: int | None = None


class Files:
    """All of them. A file that expired is no longer there, and its bytes go with `purge`.

    Parameters
    ----------
    database : Database
    blobs : Blobs
    reserve : Reserve
        Room to delete in, where the disk is full.
    quotas : Quotas
    now : callable
        The time, in whole seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        reserve: Reserve,
        quotas: Quotas,
        now: Callable[[], int],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._reserve = reserve
        self._quotas = quotas
        self._now = now
        self._receiving: set[Incoming] = set()

    def receive(self) -> Incoming:
        """The bytes of a file to be created; they count from the first on, until they are closed.

        Raises
        ------
        Overloaded
            As many files are being received as may be.
        StorageFull
            The disk or a quota has no room for them.
        """
        if len(self._receiving) >= self._quotas.max_uploads:
            raise Overloaded(
                f"{len(self._receiving)} files are being received, expected at most "
                f"{self._quotas.max_uploads} at once",
                hint="Send it again a little later.",
            )
        self.require_room()
        incoming = self._blobs.incoming(on_close=self._receiving.discard)
        self._receiving.add(incoming)
        return incoming

    def require_room(self) -> None:
        """Refuse to go on where there is no room for what is being received.

        Raises
        ------
        StorageFull
            There are too many files, or too many bytes.
        """
        row = self._database.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM files")
        assert row is not None
        if row[0] >= self._quotas.max_files:
            raise StorageFull(
                f"{row[0]:,} files are kept, expected at most {self._quotas.max_files:,}",
                hint="Delete some.",
            )
        incoming_bytes = sum(each.size_bytes for each in tuple(self._receiving))
        if row[1] + incoming_bytes > self._quotas.max_bytes:
            raise StorageFull(
                f"{row[1]:,} bytes are kept and {incoming_bytes:,} are being received, expected at "
                f"most {self._quotas.max_bytes:,}",
                hint="Delete files that nobody needs.",
            )

    def create(self, new: NewFile, incoming: Incoming) -> KeptFile:
        """Keep bytes that were received as a file.

        Raises
        ------
        StorageFull
            The disk or a quota has no room for it.
        """
        blob = incoming.finish()
        self.require_room()
        with self._database.transaction() as connection:
            return self.put(connection, new, incoming, blob)

    def put(
        self, connection: sqlite3.Connection, new: NewFile, incoming: Incoming, blob: str
    ) -> KeptFile:
        """As a part of a transaction, keep bytes that are on the disk."""
        self._blobs.keep(incoming, blob)
        created_at = self._now()
        values = (
            f"file-{secrets.token_hex(12)}",
            new.owner,
            new.purpose,
            new.filename,
            incoming.size_bytes,
            blob,
            created_at,
            None if new.keep_s is None else created_at + new.keep_s,
        )
        cursor = connection.execute(
            f"INSERT INTO files ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )
        assert cursor.lastrowid is not None
        return KeptFile(cursor.lastrowid, *values)

    def get(self, owner: str, id: str) -> KeptFile | None:
        """A file of an owner."""
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM files WHERE id = ? AND owner = ? AND {_THERE}",
            id,
            owner,
            self._now(),
        )
        return None if row is None else KeptFile(*row)

    def page(
        self,
        owner: str,
        *,
        after: int | None,
        limit: int,
        newest_first: bool,
        purpose: str | None,
    ) -> list[KeptFile]:
        """At most `limit` files of an owner, behind the one whose number is `after`."""
        order, behind = ("DESC", "<") if newest_first else ("ASC", ">")
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM files WHERE owner = ? AND {_THERE} "
            f"AND (? IS NULL OR purpose = ?) AND (? IS NULL OR number {behind} ?) "
            f"ORDER BY number {order} LIMIT ?",
            owner,
            self._now(),
            purpose,
            purpose,
            after,
            after,
            limit,
        )
        return [KeptFile(*row) for row in rows]

    def delete(self, owner: str, id: str) -> bool:
        """Keep a file no longer; whether there was one."""
        found = self.get(owner, id)
        return found is not None and bool(self._delete("id = ?", id))

    def purge(self) -> int:
        """Remove what has expired; gives how many files that were."""
        return self._delete("expires_at <= ?", self._now())

    def _delete(self, which: str, value: object) -> int:
        try:
            return self._delete_where(which, value)
        except StorageFull:
            with self._reserve.given():
                return self._delete_where(which, value)

    def _delete_where(self, which: str, value: object) -> int:
        with self._database.transaction() as connection:
            rows = connection.execute(f"DELETE FROM files WHERE {which} RETURNING blob", (value,))
            blobs = [row[0] for row in rows.fetchall()]
        for blob in set(blobs):
            self.forget(blob)
        return len(blobs)

    def forget(self, blob: str) -> None:
        """Remove bytes that nothing names any more."""
        with self._database.transaction() as connection:  # so that nobody takes them up meanwhile
            if not connection.execute(_NAMED, (blob, blob)).fetchone()[0]:
                self._blobs.remove(blob)

    def named(self, blob: str) -> bool:
        """Whether a file or a batch has these bytes."""
        row = self._database.row(_NAMED, blob, blob)
        return row is not None and bool(row[0])


_NAMED = (
    "SELECT EXISTS (SELECT 1 FROM files WHERE blob = ?) "
    "OR EXISTS (SELECT 1 FROM batches WHERE blob = ?)"
)
