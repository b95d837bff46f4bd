"""The application: routes, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from starlette.applications import Starlette
from starlette.routing import Route

from aboard.serve import chat
from aboard.serve.endpoint import Served
from aboard.serve.limits import Limits
from aboard.serve.served import ServedModels
from aboard.serve.service import Service

ENDPOINTS = (*chat.ENDPOINTS,)


def create_app(
    models: ServedModels, limits: Limits | None = None, *, day: date | None = None
) -> Starlette:
    """The ASGI application that serves `models`.

    Parameters
    ----------
    models : ServedModels
    limits : Limits, optional
    day : date, optional
        What chat templates tell the model; by default the day it is.
    """
    service = Service(models, limits or Limits(), day=day)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    routes = [Route(each.path, Served(each, service), methods=[each.method]) for each in ENDPOINTS]
    return Starlette(routes=routes, lifespan=lifespan)
