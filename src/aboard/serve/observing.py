"""Every request gets a number, a line in the log and a place in the metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from aboard.serve.noted import Noted, noted

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from aboard.serve.metrics import Metrics

_log = logging.getLogger("aboard.serve.access")


class Observed:
    """Watches requests from their first byte to their last.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; note what comes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = noted(scope)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = facts.id
                if facts.errors.id_header is not None:
                    headers[facts.errors.id_header] = facts.id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count(facts)
            _log.info("request", extra={"facts": _told(scope, facts)})


def _told(scope: Scope, facts: Noted) -> dict[str, object]:
    """What the log says: no word of prompt or answer, and no path that nobody declared."""
    told: dict[str, object] = {
        "id": facts.id,
        "owner": facts.owner,
        "method": scope["method"],
        "route": facts.route,
        "status": facts.status,
        "duration_s": round(facts.elapsed_s, 6),
    }
    if facts.code:
        told["code"] = facts.code
    if facts.model:
        told["model"] = facts.model
    if facts.first_token_s is not None:
        told["first_token_s"] = round(facts.first_token_s, 6)
    if facts.usage is not None:
        told["prompt_tokens"] = facts.usage.prompt_tokens
        told["cached_tokens"] = facts.usage.prompt_tokens_details.cached_tokens
        told["completion_tokens"] = facts.usage.completion_tokens
        told["finish_reasons"] = facts.finish_reasons
    return told
