"""`/v1/models`: what can be asked, at once in the words of the cloud API and of Anthropic's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from starlette.responses import Response

from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given
from aboard.serve.served import Served


class ModelObject(Given):
    """A name that can be asked, and the hash of what answers under it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    system_fingerprint: str
    type: Literal["model"]
    display_name: str
    created_at: datetime
    lifecycle: Literal["active"]


class ModelList(Given):
    """All of them."""

    object: Literal["list"]
    data: list[ModelObject]
    has_more: Literal[False]
    first_id: str
    last_id: str


async def list_models(call: Call[None]) -> Response:
    """Every name and alias."""
    names = call.service.models.names
    listed = [_object(name, served) for name, served in names.items()]
    return json_response(
        ModelList(
            object="list",
            data=listed,
            has_more=False,
            first_id=listed[0].id,
            last_id=listed[-1].id,
        )
    )


async def get_model(call: Call[None]) -> Response:
    """One of them."""
    name = call.http.path_params["model"]
    return json_response(_object(name, call.service.models.of_any_kind(name)))


def _object(name: str, served: Served) -> ModelObject:
    return ModelObject(
        id=name,
        object="model",
        created=served.created,
        owned_by="aboard",
        system_fingerprint=served.fingerprint,
        type="model",
        display_name=name,
        created_at=datetime.fromtimestamp(served.created, UTC),
        lifecycle="active",
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/models",
        also=("/models",),
        handle=list_models,
        summary="Names that can be asked.",
        gives=ModelList,
    ),
    Endpoint(
        method="GET",
        path="/v1/models/{model:path}",
        handle=get_model,
        summary="One of them.",
        gives=ModelObject,
        statuses=(404,),
    ),
)
