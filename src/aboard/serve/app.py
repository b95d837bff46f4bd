"""The application: routes, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from aboard.serve import (
    batches,
    chat,
    completions,
    embeddings,
    files,
    models,
    native,
    openapi,
    state,
    static,
    templates,
    tokens,
)
from aboard.serve.batch_running import BatchRunner
from aboard.serve.endpoint import Served, refused
from aboard.serve.error_forms import OPENAI, ErrorForm
from aboard.serve.guard import LOOPBACK, Guard, Keys, checked_hosts, checked_origins, host_of
from aboard.serve.limits import Limits
from aboard.serve.messages import routes as messages
from aboard.serve.noted import noted
from aboard.serve.observing import Observed
from aboard.serve.refusals import Refusal
from aboard.serve.responses import routes as responses
from aboard.serve.service import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aboard.serve.keeping.kept import Kept
    from aboard.serve.served import ServedModels

ENDPOINTS = (
    *chat.ENDPOINTS,
    *completions.ENDPOINTS,
    *responses.ENDPOINTS,
    *messages.ENDPOINTS,
    *embeddings.ENDPOINTS,
    *files.ENDPOINTS,
    *batches.ENDPOINTS,
    *models.ENDPOINTS,
    *native.ENDPOINTS,
    *templates.ENDPOINTS,
    *tokens.ENDPOINTS,
    *state.ENDPOINTS,
)


class App:
    """An ASGI application that serves models.

    Parameters
    ----------
    models : ServedModels
        They are being served from the application's start to its end.
    limits : Limits, optional
    keys : iterable of str
        Who has none of these is refused; without any, everybody may ask.
    hosts : iterable of str
        Names that the server has beside those of the loopback.
    origins : iterable of str
        Pages that may ask beside the server's own.
    public_origins : iterable of str
        What the server's own page has as its origin behind a proxy, such as
        "https://model.example"; the name in it is one of the server's, too.
    day : date, optional
        What chat templates tell the model; by default the day it is.
    kept : Kept, optional
        Where files and batches are kept; they aren't where there is none.

    Attributes
    ----------
    service : Service
        Its state.
    endpoints : tuple of Endpoint
        What it serves, but for the page.
    routes : list of Route
        A route for each path that leads to one of them, or to a file of the page.

    Raises
    ------
    UsageError
        A host or an origin is none.
    """

    def __init__(
        self,
        models: ServedModels,
        limits: Limits | None = None,
        *,
        keys: Iterable[str] = (),
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        public_origins: Iterable[str] = (),
        day: date | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.service = service = Service(models, limits or Limits(), day=day, kept=kept)
        keys = tuple(keys)
        self.endpoints = (*ENDPOINTS, openapi.endpoint(ENDPOINTS, locked=bool(keys)))
        reached = (*self.endpoints, *static.endpoints())
        self.routes = routes = [
            Route(path, Served(each, service), methods=[each.method])
            for each in reached
            for path in (each.path, *each.also)
        ]
        routed = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        routed.router.redirect_slashes = False
        open_paths = [path for each in reached if each.open for path in (each.path, *each.also)]
        inner: ASGIApp = Keys(routed, keys=keys, open_paths=open_paths)
        public_origins = checked_origins(public_origins)
        inner = Guard(
            inner,
            hosts=(*LOOPBACK, *checked_hosts(hosts), *map(host_of, public_origins)),
            origins=checked_origins(origins),
            public_origins=public_origins,
        )
        self._http = Observed(inner, service.metrics)
        self._errors = {each.path: each.errors for each in self.endpoints}
        self._lifespan = Router(lifespan=self._living)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the beginning and the end of the application."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        noted(scope).errors = self._errors_at(scope["path"])
        await self._http(scope, receive, send)

    def _errors_at(self, path: str) -> ErrorForm:
        """How refusals are told of a path, which may be none: as of what is above it."""
        above = "/".join(path.split("/", 3)[:3])
        return self._errors.get(path) or self._errors.get(above, OPENAI)

    @asynccontextmanager
    async def _living(self, app: Starlette) -> AsyncIterator[None]:
        service = self.service
        service.start(BatchRunner(service, self.endpoints) if service.keeps else None)
        try:
            yield
            await service.drain()
        finally:
            service.close()


async def _no_route(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = http.url.path
    message = f"there is no {path}" if error.status_code == 404 else f"{path}: no {http.method}"
    code = "not_found" if error.status_code == 404 else "method_not_allowed"
    headers = dict(error.headers or {})
    refusal = Refusal(error.status_code, message, code=code, headers=headers)
    return refused(refusal, noted(http.scope))
