"""Lines of batches on their way through the routes that answer live requests."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aboard.serve.body import Body
from aboard.serve.endpoint import Endpoint, Served
from aboard.serve.event_stream import on_one_line
from aboard.serve.noted import Noted, noted
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import Message, Scope

    from aboard.serve.service import Service


@dataclass(frozen=True, slots=True)
class Reply:
    """A response.

    Attributes
    ----------
    status : int
        Of HTTP.
    body : str
        JSON.
    noted : Noted
        What was noted of the request.
    """

    status: int
    body: str
    noted: Noted


def batched(endpoints: Iterable[Endpoint]) -> dict[str, Endpoint]:
    """The routes, by their paths, that a batch may ask: those that ask a model by its name."""
    return {
        each.path: each
        for each in endpoints
        if each.method == "POST"
        and each.path.startswith("/v1/")
        and each.takes is not None
        and "model" in each.takes.model_fields
    }


async def call(endpoint: Endpoint, service: Service, body: dict[str, Any], owner: str) -> Reply:
    """What a route answers to a request that comes after all live ones.

    Raises
    ------
    CancelledError
        It was cancelled; the answer is computed no further.
    """
    if body.get("stream"):
        return _no_stream(endpoint)
    scope: Scope = {
        "type": "http",
        "method": endpoint.method,
        "path": endpoint.path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    facts = noted(scope)
    facts.owner, facts.holder, facts.background = f"batches of {owner}", owner, True
    # As short as it came, or it might be longer than a request may be.
    written = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    left: list[Message] = [{"type": "http.request", "body": written, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return left.pop() if left else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        sent.append(message)

    await Served(endpoint, service)(scope, receive, send)
    data = b"".join(each.get("body", b"") for each in sent)
    facts.status = sent[0]["status"]
    return Reply(facts.status, on_one_line(data.decode()), facts)


def _no_stream(endpoint: Endpoint) -> Reply:
    refusal = Refusal(
        400,
        "stream: lines of a batch are answered all at once, expected false",
        code="invalid_value",
        param="stream",
    )
    facts = Noted(route=endpoint.path, status=refusal.status, code=refusal.code)
    body = endpoint.errors.body(refusal, facts)
    return Reply(refusal.status, body.model_dump_json(), facts)


def seeded(body: dict[str, Any], takes: type[Body], batch: str, line: int) -> dict[str, Any]:
    """A line's body with a seed, where it has none and its route takes one.

    The seed is the same whenever the line is answered: the first eight bytes, as a big-endian
    number without its highest bit, of the SHA-256 of `BATCH:LINE`.
    """
    if "seed" not in takes.model_fields or body.get("seed") is not None:
        return body
    digest = hashlib.sha256(f"{batch}:{line}".encode()).digest()
    return {**body, "seed": int.from_bytes(digest[:8], "big") & (2**63 - 1)}
