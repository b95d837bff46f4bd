"""A route: what it takes, what it gives, and how a request comes to its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from aboard.errors import AboardError
from aboard.serve.body import Body, understood
from aboard.serve.reading import read_body
from aboard.serve.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aboard.serve.service import Service

Understood = TypeVar("Understood")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call(Generic[Understood]):
    """A request on its way through a handler."""

    service: Service
    http: Request
    body: Understood

    @property
    def path(self) -> dict[str, str]:
        """The parameters in the path."""
        return dict(self.http.path_params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route of the server and all that its description says.

    Attributes
    ----------
    method, path : str
        Of HTTP.
    handle : callable
        Takes a `Call`, gives a response, raises a `Refusal`.
    summary : str
        What it is for.
    takes : type of Body, optional
        The body of the request.
    gives : type of BaseModel or str
        The body of the answer; or its media type, where it is no JSON.
    streams : type of BaseModel, optional
        The events, where `stream` asks for them.
    statuses : tuple of int
        Errors beyond those that every route may give.
    """

    method: str
    path: str
    handle: Callable[[Call[Any]], Awaitable[Response]]
    summary: str
    takes: type[Body] | None = None
    gives: type[BaseModel] | str
    streams: type[BaseModel] | None = None
    statuses: tuple[int, ...] = ()


class ClientGone(Exception):
    """The client closed its connection before the answer was there."""


class Served:
    """An endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, service: Service) -> None:
        self._endpoint = endpoint
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that goes away ends what was being done for it."""
        try:
            response = await self._response(scope, receive)
        except ClientGone:
            return
        await response(scope, receive, send)

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        takes, service = self._endpoint.takes, self._service
        try:
            http = Request(scope, receive)
            body = None
            if takes is not None:
                body = understood(takes, await read_body(http, service.limits))
            call = Call(service, http, body)
            return await unless_gone(receive, self._handled(call))
        except Refusal as refusal:
            return refused(refusal)

    async def _handled(self, call: Call[Any]) -> Response:
        try:
            return await self._endpoint.handle(call)
        except AboardError as error:
            raise refusal_of(error) from None


def refused(refusal: Refusal) -> Response:
    """The response that tells a refusal."""
    return json_response(refusal.body, status=refusal.status, headers=refusal.headers)


def json_response(
    body: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response of JSON: the fields that were set, and no others."""
    return Response(
        body.model_dump_json(exclude_unset=True),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` gives; it is cancelled where the client closes its connection before.

    Raises
    ------
    ClientGone
        It did.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
