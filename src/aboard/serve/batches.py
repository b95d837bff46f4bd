"""`/v1/batches`: files of requests are answered when there is time."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from aboard.serve.batch_bodies import (
    BatchError,
    BatchErrors,
    BatchesQuery,
    BatchList,
    BatchObject,
    BatchRequest,
    RequestCounts,
)
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.files import found_file
from aboard.serve.keeping.batches import KeptBatch
from aboard.serve.refusals import Refusal, ending

_TOLD_AS_KEPT = (
    "id",
    "endpoint",
    "model",
    "input_file_id",
    "status",
    "output_file_id",
    "error_file_id",
    "created_at",
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
    "metadata",
)


async def create_batch(call: Call[BatchRequest]) -> Response:
    """Begin a batch."""
    body, service = call.body, call.service
    kept, runner = service.kept, service.batches
    if service.ending:
        raise ending()
    if body.endpoint not in runner.endpoints:
        known = ", ".join(runner.endpoints)
        raise _bad(f"endpoint is {body.endpoint!r:.80}, expected one of {known}", "endpoint")
    file = await found_file(call, body.input_file_id, "input_file_id")
    if file.purpose != "batch":
        raise _bad(
            f"input_file_id: the file's purpose is {file.purpose}, expected batch",
            "input_file_id",
        )
    if file.size_bytes > kept.quotas.max_batch_bytes:
        raise _bad(
            f"input_file_id: the file has {file.size_bytes:,} bytes, expected at most "
            f"{kept.quotas.max_batch_bytes:,}",
            "input_file_id",
        )
    keep = body.output_expires_after
    batch = await kept.aside(
        kept.batches.create,
        file,
        endpoint=body.endpoint,
        metadata=body.metadata,
        keep_output_s=None if keep is None else keep.seconds,
    )
    runner.tell()
    return json_response(_object(batch))


async def list_batches(call: Call[BatchesQuery]) -> Response:
    """The batches of whoever asks, newest first."""
    kept, query = call.service.kept, call.body
    after = None if query.after is None else (await _found(call, query.after, "after")).number
    batches = await kept.aside(
        kept.batches.page, call.noted.holder, after=after, limit=query.limit + 1
    )
    shown = [_object(batch) for batch in batches[: query.limit]]
    return json_response(
        BatchList(
            object="list",
            data=shown,
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=len(batches) > query.limit,
        )
    )


async def get_batch(call: Call[None]) -> Response:
    """One of them."""
    return json_response(_object(await _found(call, call.http.path_params["batch_id"])))


async def cancel_batch(call: Call[None]) -> Response:
    """Have no further line of one answered."""
    service = call.service
    batch = await _found(call, call.http.path_params["batch_id"])
    if not await service.kept.aside(service.kept.batches.cancel, batch.id):
        batch = await service.kept.aside(service.kept.batches.current, batch.id)
        if batch.status != "cancelling":
            raise Refusal(
                409,
                f"{batch.id} is {batch.status}, expected validating or in_progress",
                code="batch_not_cancellable",
            )
    service.batches.tell()
    return json_response(_object(await service.kept.aside(service.kept.batches.current, batch.id)))


async def _found(call: Call[Any], id: str, param: str | None = None) -> KeptBatch:
    kept = call.service.kept
    batch = await kept.aside(kept.batches.get, call.noted.holder, id)
    if batch is None:
        raise Refusal(404, f"there is no batch {id!r:.80}", code="batch_not_found", param=param)
    return batch


def _bad(message: str, param: str) -> Refusal:
    return Refusal(400, message, code="invalid_value", param=param)


def _object(batch: KeptBatch) -> BatchObject:
    errors = None
    if batch.errors is not None:
        told = [BatchError(**each) for each in batch.errors]
        errors = BatchErrors(object="list", data=told)
    return BatchObject(
        object="batch",
        completion_window="24h",
        errors=errors,
        request_counts=RequestCounts(
            total=batch.total, completed=batch.completed, failed=batch.failed
        ),
        **{name: getattr(batch, name) for name in _TOLD_AS_KEPT},
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/batches",
        handle=create_batch,
        summary="Answer a file of requests when there is time.",
        takes=BatchRequest,
        gives=BatchObject,
        statuses=(404, 429, 507),
    ),
    Endpoint(
        method="GET",
        path="/v1/batches",
        handle=list_batches,
        summary="The batches of whoever asks.",
        asks=BatchesQuery,
        gives=BatchList,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/batches/{batch_id}",
        handle=get_batch,
        summary="One of them.",
        gives=BatchObject,
        statuses=(404,),
    ),
    Endpoint(
        method="POST",
        path="/v1/batches/{batch_id}/cancel",
        handle=cancel_batch,
        summary="Have no further line of one answered.",
        gives=BatchObject,
        statuses=(404, 409, 507),
    ),
)
