"""The batches that are kept, how far each has come, and what was answered."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aboard.errors import Overloaded, UsageError

if TYPE_CHECKING:
    from aboard.serve.keeping.database import Database
    from aboard.serve.keeping.files import KeptFile
    from aboard.serve.keeping.quotas import Quotas

WINDOW_S = 24 * 3600
"""For how long a batch may go on: what the cloud API calls 24h."""

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]
UNDER_WAY: tuple[Status, ...] = ("validating", "in_progress", "finalizing", "cancelling")

_COLUMNS = (
    "number, id, owner, endpoint, input_file_id, blob, metadata, keep_output_s, status, model, "
    "errors, total, completed, failed, output_file_id, error_file_id, created_at, expires_at, "
    "in_progress_at, finalizing_at, completed_at, failed_at, expired_at, cancelling_at, "
    "cancelled_at"
)
_PLACES = ", ".join("?" * len(UNDER_WAY))


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch; times are in seconds since 1970, `number` grows from batch to batch.

    `blob` names the bytes of its lines for as long as it is under way, whatever becomes of the
    file that they came in.
    """

    number: int
    id: str
    owner: str
    endpoint: str
    input_file_id: str
    blob: str | None
    metadata: dict[str, str] | None
    keep_output_s: int | None
    status: Status
    model: str | None
    errors: list[dict[str, Any]] | None
    total: int
    completed: int
    failed: int
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What came of a line, as it will stand in a file of answers, without the line's end."""

    line: int
    succeeded: bool
    written: str


class Batches:
    """All of them.

    Parameters
    ----------
    database : Database
    quotas : Quotas
    now : callable
        The time, in whole seconds since 1970.
    """

    def __init__(self, database: Database, quotas: Quotas, now: Callable[[], int]) -> None:
        self._database = database
        self._quotas = quotas
        self._now = now

    def create(
        self,
        file: KeptFile,
        *,
        endpoint: str,
        metadata: dict[str, str] | None,
        keep_output_s: int | None,
    ) -> KeptBatch:
        """Begin a batch of the lines of a file, for the file's owner; forget those long ended.

        Raises
        ------
        Overloaded
            As many are under way as may be.
        """
        created_at = self._now()
        with self._database.transaction() as connection:
            n = connection.execute(
                f"SELECT count(*) FROM batches WHERE status IN ({_PLACES})", UNDER_WAY
            ).fetchone()[0]
            if n >= self._quotas.max_batches:
                raise Overloaded(
                    f"{n} batches are under way, expected at most {self._quotas.max_batches}",
                    hint="Ask again when some have ended.",
                )
            self._forget(connection, file.owner)
            id = f"batch_{secrets.token_hex(12)}"
            connection.execute(
                "INSERT INTO batches (id, owner, endpoint, input_file_id, blob, metadata, "
                "keep_output_s, status, created_at, expires_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'validating', ?, ?)",
                (
                    id,
                    file.owner,
                    endpoint,
                    file.id,
                    file.blob,
                    None if metadata is None else json.dumps(metadata),
                    keep_output_s,
                    created_at,
                    created_at + WINDOW_S,
                ),
            )
        return self.current(id)

    def _forget(self, connection: sqlite3.Connection, owner: str) -> None:
        ended = f"owner = ? AND status NOT IN ({_PLACES})"
        connection.execute(
            f"DELETE FROM batches WHERE {ended} AND number <= (SELECT number FROM batches "
            f"WHERE {ended} ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (owner, *UNDER_WAY, owner, *UNDER_WAY, self._quotas.max_ended),
        )

    def get(self, owner: str, id: str) -> KeptBatch | None:
        """A batch of an owner."""
        found = self._database.rows(
            f"SELECT {_COLUMNS} FROM batches WHERE id = ? AND owner = ?", id, owner
        )
        return _batch(found[0]) if found else None

    def current(self, id: str) -> KeptBatch:
        """A batch that there is, as it is now."""
        return _batch(self._database.rows(f"SELECT {_COLUMNS} FROM batches WHERE id = ?", id)[0])

    def page(self, owner: str, *, after: int | None, limit: int) -> list[KeptBatch]:
        """At most `limit` batches of an owner, newest first, older than that of number `after`."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM batches WHERE owner = ? AND (? IS NULL OR number < ?) "
            "ORDER BY number DESC LIMIT ?",
            owner,
            after,
            after,
            limit,
        )
        return [_batch(row) for row in rows]

    def under_way(self) -> list[KeptBatch]:
        """Those of all owners that have not ended, oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM batches WHERE status IN ({_PLACES}) ORDER BY number",
            *UNDER_WAY,
        )
        return [_batch(row) for row in rows]

    def begin(self, id: str, *, total: int, model: str | None) -> None:
        """The lines are sound: from now on they are answered, unless it was cancelled."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE batches SET total = ?, model = ? WHERE id = ?", (total, model, id)
            )
            connection.execute(
                "UPDATE batches SET status = 'in_progress', in_progress_at = ? "
                "WHERE id = ? AND status = 'validating'",
                (self._now(), id),
            )

    def fail(self, id: str, errors: Sequence[dict[str, Any]]) -> None:
        """The lines aren't sound."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE batches SET status = 'failed', failed_at = ?, errors = ?, blob = NULL "
                "WHERE id = ?",
                (self._now(), json.dumps(errors), id),
            )

    def cancel(self, id: str) -> bool:
        """Have no further line answered; False where the batch has ended, or is about to."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "UPDATE batches SET status = 'cancelling', cancelling_at = ? "
                "WHERE id = ? AND status IN ('validating', 'in_progress')",
                (self._now(), id),
            )
            return cursor.rowcount > 0

    def finalize(self, id: str) -> None:
        """All is answered that will be; a batch that is being cancelled stays so."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE batches SET finalizing_at = ?, "
                "status = iif(status = 'cancelling', status, 'finalizing') "
                "WHERE id = ? AND finalizing_at IS NULL",
                (self._now(), id),
            )

    def answer(self, number: int, answers: Iterable[LineAnswer]) -> None:
        """Take in what lines were answered; one that has an answer keeps it."""
        with self._database.transaction() as connection:
            counted = [0, 0]
            for each in answers:
                cursor = connection.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
                    (number, each.line, each.succeeded, each.written),
                )
                counted[each.succeeded] += cursor.rowcount
            connection.execute(
                "UPDATE batches SET failed = failed + ?, completed = completed + ? "
                "WHERE number = ?",
                (*counted, number),
            )

    def answered(self, number: int) -> set[int]:
        """The lines that have an answer."""
        rows = self._database.rows("SELECT line FROM answers WHERE batch = ?", number)
        return {row[0] for row in rows}

    def answers(self, number: int, *, succeeded: bool, after: int, limit: int) -> list[LineAnswer]:
        """At most `limit` answers in the order of their lines, from behind the line `after`."""
        rows = self._database.rows(
            "SELECT line, succeeded, written FROM answers "
            "WHERE batch = ? AND succeeded = ? AND line > ? ORDER BY line LIMIT ?",
            number,
            succeeded,
            after,
            limit,
        )
        return [LineAnswer(row[0], bool(row[1]), row[2]) for row in rows]

    def end(
        self,
        connection: sqlite3.Connection,
        batch: KeptBatch,
        *,
        output: KeptFile | None,
        errors: KeptFile | None,
    ) -> None:
        """As a part of a transaction: its answers are in files now, and it has ended.

        Raises
        ------
        UsageError
            It had ended before.
        """
        if batch.status == "cancelling":
            status = "cancelled"
        elif not batch.total or batch.completed + batch.failed < batch.total:
            status = "expired"
        else:
            status = "completed"
        cursor = connection.execute(
            f"UPDATE batches SET status = ?, {status}_at = ?, blob = NULL, output_file_id = ?, "
            "error_file_id = ? WHERE number = ? AND status IN ('finalizing', 'cancelling')",
            (
                status,
                self._now(),
                None if output is None else output.id,
                None if errors is None else errors.id,
                batch.number,
            ),
        )
        if not cursor.rowcount:
            raise UsageError(f"{batch.id} has ended already")
        connection.execute("DELETE FROM answers WHERE batch = ?", (batch.number,))


def _batch(row: sqlite3.Row) -> KeptBatch:
    values: dict[str, Any] = dict(row)
    for name in ("metadata", "errors"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return KeptBatch(**values)
