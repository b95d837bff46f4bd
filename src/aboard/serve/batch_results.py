"""What stands in the files that a batch gives: a line for each request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aboard.serve.batch_bodies import BatchLine
from aboard.serve.batch_lines import read_lines
from aboard.serve.body import understood
from aboard.serve.file_bodies import BATCH_OUTPUT
from aboard.serve.keeping.batches import KeptBatch, LineAnswer
from aboard.serve.keeping.files import NewFile

if TYPE_CHECKING:
    from aboard.serve.batch_calls import Reply
    from aboard.serve.keeping.blobs import Incoming
    from aboard.serve.keeping.kept import Kept

_PAGE = 64  # answers that are in memory together

_UNANSWERED = {
    "cancelling": ("batch_cancelled", "the batch was cancelled before this request was answered"),
    "finalizing": ("batch_expired", "the batch expired before this request was answered"),
}


def answer_of(batch: KeptBatch, line: int, custom_id: str, reply: Reply) -> LineAnswer:
    """What is kept of an answer; its body is in it as it was sent."""
    written = (
        f'{{"id":"{_id(batch, line)}","custom_id":{json.dumps(custom_id)},"response":'
        f'{{"status_code":{reply.status},"request_id":"{reply.noted.id}","body":{reply.body}}},'
        '"error":null}'
    )
    return LineAnswer(line, reply.status < 400, written)


def finish(kept: Kept, batch: KeptBatch, max_bytes: int) -> None:
    """Put a batch's answers into files, and end it: all of that, or nothing.

    Raises
    ------
    StorageFull
        The disk has no room for them.
    """
    with ExitStack() as stack:
        output, errors = (stack.enter_context(kept.blobs.incoming()) for _ in range(2))
        _write(output, _answers(kept, batch, succeeded=True))
        _write(errors, _answers(kept, batch, succeeded=False))
        _write(errors, _unanswered(kept, batch, max_bytes))
        names = [each.finish() for each in (output, errors)]
        with kept.database.transaction() as connection:
            files = [
                kept.files.put(connection, _new(batch, what), each, name)
                if each.size_bytes
                else None
                for what, each, name in zip(
                    ("output", "error"), (output, errors), names, strict=True
                )
            ]
            kept.batches.end(connection, batch, output=files[0], errors=files[1])
    if batch.blob is not None:
        kept.files.forget(batch.blob)


def _new(batch: KeptBatch, what: str) -> NewFile:
    return NewFile(
        owner=batch.owner,
        purpose=BATCH_OUTPUT,
        filename=f"{batch.id}_{what}.jsonl",
        keep_s=batch.keep_output_s,
    )


def _write(file: Incoming, lines: Iterator[str]) -> None:
    for line in lines:
        file.write(line.encode() + b"\n")


def _answers(kept: Kept, batch: KeptBatch, *, succeeded: bool) -> Iterator[str]:
    after = 0
    while page := kept.batches.answers(batch.number, succeeded=succeeded, after=after, limit=_PAGE):
        yield from (each.written for each in page)
        after = page[-1].line


def _unanswered(kept: Kept, batch: KeptBatch, max_bytes: int) -> Iterator[str]:
    """The lines of a batch that ended before its time."""
    if batch.completed + batch.failed >= batch.total or batch.blob is None:
        return
    path = kept.blobs.path(batch.blob)
    if not path.exists():
        return
    code, message = _UNANSWERED[batch.status]
    answered = kept.batches.answered(batch.number)
    for number, data in read_lines(path, max_bytes):
        if number not in answered:
            told = {
                "id": _id(batch, number),
                "custom_id": understood(BatchLine, data).custom_id,
                "response": None,
                "error": {"code": code, "message": message},
            }
            yield json.dumps(told, separators=(",", ":"))


def _id(batch: KeptBatch, line: int) -> str:
    return f"batch_req_{hashlib.sha256(f'{batch.id}:{line}'.encode()).hexdigest()[:24]}"
