"""The SQLite database of what is kept: its tables, and whole transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aboard.closing import Closing
from aboard.errors import UsageError
from aboard.serve.keeping.disk import full_disk_told

VERSION = 1
"""Of the tables. Another one means steps from this one to that, below."""

_APPLICATION = 0x41426F61  # "ABoa": tells the file from other programs' databases

_TABLES = """
CREATE TABLE files (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  purpose TEXT NOT NULL,
  filename TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  blob TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER
);
CREATE INDEX files_by_owner ON files (owner, number);
CREATE INDEX files_by_blob ON files (blob);
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE batches (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  input_file_id TEXT NOT NULL,
  blob TEXT,
  metadata TEXT,
  keep_output_s INTEGER,
  status TEXT NOT NULL,
  model TEXT,
  errors TEXT,
  total INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  output_file_id TEXT,
  error_file_id TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  in_progress_at INTEGER,
  finalizing_at INTEGER,
  completed_at INTEGER,
  failed_at INTEGER,
  expired_at INTEGER,
  cancelling_at INTEGER,
  cancelled_at INTEGER
);
CREATE INDEX batches_by_owner ON batches (owner, number);
CREATE INDEX batches_by_blob ON batches (blob) WHERE blob IS NOT NULL;

CREATE TABLE answers (
  batch INTEGER NOT NULL REFERENCES batches (number) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  written TEXT NOT NULL,
  UNIQUE (batch, line)
);
"""


class Database(Closing):
    """One connection, which one thread at a time has; any thread may ask.

    A transaction that ended is on the disk, so that neither a kill nor a loss of power takes it
    back.

    Parameters
    ----------
    path : Path
        Made where there is none.
    may_be_new : bool
        Whether there may be none, or one without tables.

    Raises
    ------
    UsageError
        The file is no such database, is damaged, is missing where it may not be new, or a newer
        version of the program made it.
    """

    def __init__(self, path: Path, *, may_be_new: bool) -> None:
        self._lock = threading.Lock()
        with ExitStack() as opened:
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # nobody else's to read
                self._connection = sqlite3.connect(
                    path, isolation_level=None, check_same_thread=False, timeout=0
                )
                opened.callback(self._connection.close)
                self._connection.row_factory = sqlite3.Row
                self._prepare(path, may_be_new)
            except (OSError, sqlite3.Error) as error:
                raise UsageError(
                    f"{path}: can't be opened as a database: {error}",
                    hint="Put back a copy of the folder, or start with a new one.",
                ) from None
            opened.pop_all()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what the block does, or nothing.

        Raises
        ------
        StorageFull
            The disk has no room for it.
        """
        with self._lock, full_disk_told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, question: str, *values: object) -> list[sqlite3.Row]:
        """What a SELECT gives."""
        with self._lock:
            return self._connection.execute(question, values).fetchall()

    def row(self, question: str, *values: object) -> sqlite3.Row | None:
        """The first of what a SELECT gives."""
        with self._lock:
            found = self._connection.execute(question, values).fetchone()
        assert found is None or isinstance(found, sqlite3.Row)
        return found

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self, path: Path, may_be_new: bool) -> None:
        execute = self._connection.execute
        version = execute("PRAGMA user_version").fetchone()[0]
        application = execute("PRAGMA application_id").fetchone()[0]
        is_empty = not execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_empty and application != _APPLICATION:
            raise UsageError(f"{path}: is a database of another program")
        if version > VERSION:
            raise UsageError(
                f"{path}: has version {version}, expected at most {VERSION}",
                hint="A newer Aboard wrote it: use that, or another folder.",
            )
        if is_empty and not may_be_new:
            raise UsageError(
                f"{path}: tells of no files, but beside it there are bytes of some",
                hint="Put back the database with its -wal, or give a folder of the server's own.",
            )
        for table in ("files", "batches"):  # of which few rows would mean that few bytes are wanted
            told = None if is_empty else execute(f"PRAGMA integrity_check({table})").fetchone()[0]
            if told not in (None, "ok"):
                raise sqlite3.DatabaseError(told)
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA secure_delete = ON")  # what is deleted can't be read from the file either
        if is_empty:
            self._connection.executescript(
                f"BEGIN;{_TABLES}PRAGMA application_id = {_APPLICATION};"
                f"PRAGMA user_version = {VERSION};COMMIT;"
            )
