"""`/v1/files`: files are kept, told of and given back."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import Response

from aboard.serve.body import understood_texts
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.file_bodies import (
    FileDeleted,
    FileFields,
    FileList,
    FileObject,
    FilesQuery,
    nested,
)
from aboard.serve.file_stream import FileStream
from aboard.serve.keeping.files import KeptFile, NewFile
from aboard.serve.refusals import NO_RETRY, SERVER, Refusal, ending
from aboard.serve.uploads import received

BYTES = FileStream.media_type
_log = logging.getLogger(__name__)


async def create_file(call: Call[None]) -> Response:
    """Keep a file."""
    service = call.service
    kept = service.kept
    if service.ending:
        raise ending()
    async with received(call.http, kept, service.limits.body_timeout_s) as upload:
        fields = understood_texts(FileFields, nested(upload.fields))
        assert upload.filename is not None
        new = NewFile(
            owner=call.noted.holder,
            purpose=fields.purpose,
            filename=upload.filename,
            keep_s=None if fields.expires_after is None else fields.expires_after.seconds,
        )
        file = await kept.aside(kept.files.create, new, upload.incoming)
    return json_response(_object(file))


async def list_files(call: Call[FilesQuery]) -> Response:
    """The files of whoever asks."""
    kept, query, owner = call.service.kept, call.body, call.noted.holder
    after = None if query.after is None else (await found_file(call, query.after, "after")).number
    files = await kept.aside(
        kept.files.page,
        owner,
        after=after,
        limit=query.limit + 1,
        newest_first=query.order == "desc",
        purpose=query.purpose,
    )
    shown = [_object(file) for file in files[: query.limit]]
    return json_response(
        FileList(
            object="list",
            data=shown,
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=len(files) > query.limit,
        )
    )


async def get_file(call: Call[None]) -> Response:
    """One of them."""
    return json_response(_object(await found_file(call, call.http.path_params["file_id"])))


async def get_file_content(call: Call[None]) -> Response:
    """Its bytes."""
    kept, id = call.service.kept, call.http.path_params["file_id"]
    file = await found_file(call, id)
    try:
        return FileStream(kept.blobs.path(file.blob), file.size_bytes, kept.aside)
    except OSError as error:
        await found_file(call, id)  # it may have been deleted meanwhile
        _log.error("bytes that are kept can't be read", exc_info=error)
        raise Refusal(
            500,
            f"the bytes of {file.id} can't be read any more",
            code="file_damaged",
            kind=SERVER,
            headers=NO_RETRY,
        ) from None


async def delete_file(call: Call[None]) -> Response:
    """Keep one no longer."""
    kept, id = call.service.kept, call.http.path_params["file_id"]
    if not await kept.aside(kept.files.delete, call.noted.holder, id):
        raise _no_file(id, None)
    return json_response(FileDeleted(id=id, object="file", deleted=True))


async def found_file(call: Call[Any], id: str, param: str | None = None) -> KeptFile:
    """A file of whoever asks.

    Raises
    ------
    Refusal
        There is none; `param` is told as the place that names it.
    """
    kept = call.service.kept
    file = await kept.aside(kept.files.get, call.noted.holder, id)
    if file is None:
        raise _no_file(id, param)
    return file


def _no_file(id: str, param: str | None) -> Refusal:
    return Refusal(404, f"there is no file {id!r:.80}", code="file_not_found", param=param)


def _object(file: KeptFile) -> FileObject:
    return FileObject(
        id=file.id,
        object="file",
        bytes=file.size_bytes,
        created_at=file.created_at,
        expires_at=file.expires_at,
        filename=file.filename,
        purpose=file.purpose,
        status="processed",
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/files",
        handle=create_file,
        summary="Keep a file.",
        form=FileFields,
        gives=FileObject,
        statuses=(404, 429, 507),
    ),
    Endpoint(
        method="GET",
        path="/v1/files",
        handle=list_files,
        summary="The files of whoever asks.",
        asks=FilesQuery,
        gives=FileList,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/files/{file_id}",
        handle=get_file,
        summary="One of them.",
        gives=FileObject,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/files/{file_id}/content",
        handle=get_file_content,
        summary="Its bytes.",
        gives=BYTES,
        statuses=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/v1/files/{file_id}",
        handle=delete_file,
        summary="Keep one no longer.",
        gives=FileDeleted,
        statuses=(404,),
    ),
)
