"""A route: what it takes, what it gives, and how a request comes to its handler."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from aboard.serve.body import Body, understood, understood_texts
from aboard.serve.error_forms import OPENAI, ErrorForm
from aboard.serve.leaving import ClientGone, unless_gone
from aboard.serve.noted import Noted, noted
from aboard.serve.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aboard.serve.service import Service

Understood = TypeVar("Understood", covariant=True)


@dataclass(frozen=True, slots=True)
class Call(Generic[Understood]):
    """A request on its way through a handler.

    Attributes
    ----------
    service : Service
        Models, limits, the state of the server.
    http : Request
        The request as Starlette has it.
    body : Body
        What its body says, or its query where the route takes no body; None where it takes neither.
    noted : Noted
        What is told of it in logs and metrics.
    """

    service: Service
    http: Request
    body: Understood
    noted: Noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route of the server and all that its description says.

    Attributes
    ----------
    method, path : str
        Of HTTP; the path may hold `{name}` or `{name:path}`.
    handle : callable
        Takes a `Call`, gives a response, raises a `Refusal`.
    summary : str
        What it is for.
    takes : type of Body, optional
        The body of the request.
    asks : type of Body, optional
        Its query, where it takes no body.
    form : type of Body, optional
        The fields of its form, beside the `file`; the handler reads it.
    gives : type of BaseModel or str
        The body of the answer; or its media type, where it is no JSON.
    streams : type of BaseModel, optional
        The events, where `stream` asks for them.
    named : bool
        Whether each event has a name, which is the `type` of its data.
    errors : ErrorForm
        How refusals are told.
    statuses : tuple of int
        Errors beyond those that every route may give.
    open : bool
        Whether it is answered without a key.
    also : tuple of str
        Further paths of the same, by which other servers' clients know it.
    """

    method: str
    path: str
    handle: Callable[[Call[Any]], Coroutine[Any, Any, Response]]
    summary: str
    takes: type[Body] | None = None
    asks: type[Body] | None = None
    form: type[Body] | None = None
    gives: type[BaseModel] | str
    streams: type[BaseModel] | None = None
    named: bool = False
    errors: ErrorForm = OPENAI
    statuses: tuple[int, ...] = ()
    open: bool = False
    also: tuple[str, ...] = ()


class Served:
    """An endpoint as an ASGI application."""

    def __init__(self, endpoint: Endpoint, service: Service) -> None:
        self._endpoint = endpoint
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that goes away ends what was being done for it."""
        facts = noted(scope)
        facts.route, facts.errors = self._endpoint.path, self._endpoint.errors
        try:
            response = await self._response(Request(scope, receive), facts)
        except ClientGone:
            facts.note_gone()
            return
        except Refusal as refusal:
            response = refused(refusal, facts)
        except Exception as error:
            response = refused(refusal_of(error), facts)
        await response(scope, receive, send)

    async def _response(self, http: Request, facts: Noted) -> Response:
        takes, asks, service = self._endpoint.takes, self._endpoint.asks, self._service
        if takes is None:
            query = None if asks is None else understood_texts(asks, dict(http.query_params))
            return await self._endpoint.handle(Call(service, http, query, facts))
        async with service.bodies.read(http) as data:
            call = Call(service, http, understood(takes, data), facts)
            return await unless_gone(http.receive, self._endpoint.handle(call))


def refused(refusal: Refusal, facts: Noted) -> Response:
    """The response that tells a refusal, which is noted."""
    facts.code = refusal.code
    form = facts.errors
    status = form.statuses.get(refusal.status, refusal.status)
    return json_response(form.body(refusal, facts), status=status, headers=refusal.headers)


def json_response(
    body: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response of JSON: the fields that were set, and no others."""
    return json_text_response(
        body.model_dump_json(exclude_unset=True), status=status, headers=headers
    )


def json_text_response(
    text: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response of JSON that is written already."""
    return Response(
        text,
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
        media_type="application/json",
    )
