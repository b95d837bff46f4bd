"""`/v1/models`: what can be asked, at once in the words of the cloud API and of Anthropic's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator
from starlette.responses import Response

from aboard.serve.body import Body
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given
from aboard.serve.refusals import invalid
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
    """All of them, or those asked for."""

    object: Literal["list"]
    data: list[ModelObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


class ModelsQuery(Body):
    """Which names are asked for, in Anthropic's words."""

    after_id: str | None = Field(default=None, description="The last name there was.")
    before_id: str | None = Field(default=None, description="The first name there was.")
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000

    @model_validator(mode="after")
    def _one_way(self) -> ModelsQuery:
        if self.after_id is not None and self.before_id is not None:
            raise ValueError("after_id and before_id exclude each other")
        return self


async def list_models(call: Call[ModelsQuery]) -> Response:
    """Every name and alias, or those on one side of another."""
    query, names = call.body, call.service.models.names
    ids = list(names)
    if query.before_id is not None:
        ids = ids[: _place(query.before_id, "before_id", ids)]
        shown = ids[-query.limit :]
    else:
        if query.after_id is not None:
            ids = ids[_place(query.after_id, "after_id", ids) + 1 :]
        shown = ids[: query.limit]
    return json_response(
        ModelList(
            object="list",
            data=[_object(name, names[name]) for name in shown],
            has_more=len(shown) < len(ids),
            first_id=shown[0] if shown else None,
            last_id=shown[-1] if shown else None,
        )
    )


def _place(name: str, param: str, ids: list[str]) -> int:
    if name not in ids:
        raise invalid(f"no model {name!r:.80} is listed", param)
    return ids.index(name)


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
        asks=ModelsQuery,
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
