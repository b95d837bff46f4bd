"""What `/v1/files` takes and gives, in the words of the cloud API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from aboard.serve.body import WHOLE, Body
from aboard.serve.given import Given

SENT = ("batch", "user_data")
"""Purposes of files that are taken."""

BATCH_OUTPUT = "batch_output"
"""The purpose of what batches answer."""

_USELESS = {
    "assistants": "there are no assistants here",
    "evals": "there are no evaluations here",
    "fine-tune": "nothing is tuned here",
    "vision": "there are no pictures here",
}


def _known(purpose: str) -> str:
    if purpose in SENT:
        return purpose
    why = f": {_USELESS[purpose]}" if purpose in _USELESS else ""
    raise ValueError(f"{purpose!r:.80} isn't supported{why}; expected 'batch' or 'user_data'")


class ExpiresAfter(Body):
    """When a file is deleted by itself."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000), WHOLE] = Field(
        description="From one hour to 30 days."
    )


class FileFields(Body):
    """What is said of a file that is sent."""

    purpose: Annotated[
        str,
        AfterValidator(_known),
        WithJsonSchema({"type": "string", "enum": list(SENT)}),
    ]
    expires_after: ExpiresAfter | None = Field(
        default=None, description="In a form: `expires_after[anchor]` and `expires_after[seconds]`."
    )


class FilesQuery(Body):
    """Which files to list."""

    after: str | None = Field(default=None, description="The id of the last file known already.")
    limit: int = Field(default=10_000, ge=1, le=10_000)
    order: Literal["asc", "desc"] = Field(default="desc", description="desc: newest first.")
    purpose: str | None = None


class FileObject(Given):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"]


class FileList(Given):
    """Files."""

    object: Literal["list"]
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Given):
    """A file is there no longer."""

    id: str
    object: Literal["file"]
    deleted: bool


def nested(fields: dict[str, str]) -> dict[str, Any]:
    """The fields of a form; those of names such as `outer[inner]` are within `outer`."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.partition("[")
        if bracket and inner.endswith("]") and isinstance(found.get(outer, {}), dict):
            found.setdefault(outer, {})[inner.removesuffix("]")] = value
        else:
            found[name] = value
    return found
