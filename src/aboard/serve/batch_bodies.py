"""What `/v1/batches` takes and gives, and the lines of its files, in the words of the cloud API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from aboard.serve.body import Body
from aboard.serve.file_bodies import ExpiresAfter
from aboard.serve.given import Given
from aboard.serve.keeping.batches import Status

Key = Annotated[str, StringConstraints(max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


class BatchRequest(Body):
    """Requests to be answered when there is time."""

    input_file_id: str = Field(description="A file of requests, one a line; purpose: batch.")
    endpoint: str = Field(description="The route that answers all of them.")
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] | None = Field(
        default=None, description="Told again with the batch."
    )
    output_expires_after: ExpiresAfter | None = Field(
        default=None, description="When the files of answers are deleted by themselves."
    )


class BatchLine(Body):
    """A line of the file: a request."""

    custom_id: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    method: Literal["POST"]
    url: str
    body: dict[str, Any]


class BatchesQuery(Body):
    """Which batches to list, newest first."""

    after: str | None = Field(default=None, description="The id of the last batch known already.")
    limit: int = Field(default=20, ge=1, le=100)


class BatchError(Given):
    """Why a batch failed; `line` counts from 1."""

    code: str
    message: str
    param: str | None
    line: int | None


class BatchErrors(Given):
    """All that is wrong with the lines, up to a hundred of them."""

    object: Literal["list"]
    data: list[BatchError]


class RequestCounts(Given):
    """Lines: all, and those that have an answer, a good one or an error."""

    total: int
    completed: int
    failed: int


class BatchObject(Given):
    """A batch."""

    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchErrors | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchList(Given):
    """Batches."""

    object: Literal["list"]
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
