"""The description of the server: an OpenAPI document, made of its endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from aboard import __version__
from aboard.serve.body import Body
from aboard.serve.endpoint import Call, Endpoint

JSON, EVENTS = "application/json", "text/event-stream"
FORM = "multipart/form-data"
_REFS = "#/components/schemas/{model}"
_ERRORS = {
    400: "The request isn't understood, or asks for what isn't supported; `param` names it.",
    401: "No key, or a wrong one.",
    403: "The Host isn't this server's, or a page of another site asks.",
    404: "There is no such thing.",
    408: "The body didn't come in time.",
    409: "It is past that.",
    413: "The body is too large.",
    415: "The body is no JSON by its headers.",
    429: "Too many answers wait for their turn; `Retry-After` says when to ask again.",
    500: "The server failed.",
    503: "The server is ending, or has no room now; `Retry-After` says when to ask again.",
    507: "There is no room for what is to be kept.",
    529: "The server is ending, or has no room now; `Retry-After` says when to ask again.",
    504: "The answer took longer than it may.",
}
_EVERY = (401, 403, 500)
_WITH_BODY = (400, 408, 413, 415, 503)


def document(endpoints: Sequence[Endpoint], *, locked: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `endpoints`; `locked`: they take a key."""
    components: dict[str, Any] = {"schemas": _schemas(endpoints)}
    if locked:
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"},
            "x_api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        path = re.sub(r":\w+}", "}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aboard", "version": __version__},
        "security": [{"key": []}, {"x_api_key": []}] if locked else [],
        "paths": paths,
        "components": components,
    }


def endpoint(endpoints: Sequence[Endpoint], *, locked: bool) -> Endpoint:
    """The route that gives the document of `endpoints` and of itself."""

    async def openapi(call: Call[None]) -> Response:
        return Response(text, media_type=JSON)

    own = Endpoint(
        method="GET",
        path="/openapi.json",
        handle=openapi,
        summary="This document.",
        gives=JSON,
    )
    text = json.dumps(document([*endpoints, own], locked=locked))
    return own


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    takes: set[type[BaseModel]] = {
        kind for each in endpoints for kind in (each.takes, each.form) if kind is not None
    }
    gives: set[type[BaseModel]] = {
        kind
        for each in endpoints
        for kind in (each.gives, each.streams, each.errors.kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }
    pairs: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    pairs += [(kind, "validation") for kind in sorted(takes, key=_name)]
    pairs += [(kind, "serialization") for kind in sorted(gives, key=_name)]
    _, schema = models_json_schema(pairs, ref_template=_REFS)
    found = schema["$defs"]
    assert isinstance(found, dict)
    return found


def _name(kind: type[BaseModel]) -> str:
    return kind.__name__


def _operation(each: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": each.summary,
        "operationId": each.handle.__name__,
        "responses": _responses(each),
    }
    if each.open:
        operation["security"] = []
    names = re.findall(r"{(\w+)", each.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if each.asks is not None:
        operation.setdefault("parameters", []).extend(_query(each.asks))
    if each.takes is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: _reference(each.takes)}}
    if each.form is not None:
        content = {FORM: {"schema": _form(each.form)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _query(kind: type[Body]) -> list[dict[str, Any]]:
    """The parameters of a query."""
    schema = kind.model_json_schema(ref_template=_REFS)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": each,
        }
        for name, each in schema["properties"].items()
    ]


def _form(kind: type[Body]) -> dict[str, Any]:
    """The schema of a form: a file, and its fields."""
    file = {
        "type": "object",
        "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
        "required": ["file"],
    }
    return {"allOf": [file, _reference(kind)["schema"]]}


def _responses(each: Endpoint) -> dict[str, Any]:
    given = {JSON: _reference(each.gives)} if not isinstance(each.gives, str) else {each.gives: {}}
    if each.streams is not None:
        given[EVENTS] = {"schema": _event(each.streams, named=each.named)}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": given}}
    has_body = each.takes is not None or each.form is not None
    statuses = {*_EVERY, *each.statuses, *(_WITH_BODY if has_body else ())}
    if each.asks is not None:
        statuses.add(400)
    for status in sorted(each.errors.statuses.get(status, status) for status in statuses):
        responses[str(status)] = {
            "description": _ERRORS[status],
            "content": {JSON: _reference(each.errors.kind)},
        }
    return responses


def _event(kind: type[BaseModel], *, named: bool) -> dict[str, Any]:
    """The schema of each event of a stream."""
    data = {"type": "string", "contentMediaType": JSON, "contentSchema": _reference(kind)["schema"]}
    schema: dict[str, Any] = {
        "type": "object",
        "description": "An event; the last has `[DONE]` for its data, or an ErrorBody.",
        "properties": {"data": data},
        "required": ["data"],
    }
    if named:
        schema["description"] = "An event; its name is the `type` of its data."
        schema["properties"] = {"event": {"type": "string"}, "data": data}
    return schema


def _reference(kind: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": _REFS.format(model=kind.__name__)}}
