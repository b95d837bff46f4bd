"""Requests straight into an application, with the very headers that the test writes."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return json.loads(self.body)["error"]["code"] if self.status >= 400 else None


def request(
    app: Any,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (("host", "localhost"),),
    body: bytes = b"",
    *,
    scheme: str = "http",
    client: str = "127.0.0.1",
) -> Answered:
    """What the application answers to one request."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    return asyncio.run(_answered(app, scope, body))


async def _answered(app: Any, scope: dict[str, Any], body: bytes) -> Answered:
    left = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not left:
            await never.wait()
        return left.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answered(sent[0]["status"], headers, b"".join(each["body"] for each in sent[1:]))
