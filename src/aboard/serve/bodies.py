"""Bodies as bytes: of the right kind, in time, and together within a budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from aboard.serve.leaving import ClientGone
from aboard.serve.refusals import SERVER, Refusal, retry_after

if TYPE_CHECKING:
    from aboard.serve.limits import Limits

CLOSE = {"connection": "close"}


class Bodies:
    """Reads the bodies of all requests.

    Attributes
    ----------
    held_bytes : int
        What bodies that are being read or answered hold now.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held_bytes = 0

    @asynccontextmanager
    async def read(self, http: Request) -> AsyncIterator[bytes]:
        """The body of a request; it counts as held until the block ends.

        Raises
        ------
        Refusal
            It is no JSON by its headers, too large, not there in time, or more than there is room
            for.
        ClientGone
            The connection was closed before it was there.
        """
        self._check_headers(http)
        data = bytearray()
        try:
            await self._collect(http, data)
            yield bytes(data)
        finally:
            self.held_bytes -= len(data)

    async def _collect(self, http: Request, data: bytearray) -> None:
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for part in http.stream():
                    self._take(data, part)
        except TimeoutError:
            raise Refusal(
                408,
                f"the body was not there after {self._limits.body_timeout_s:g} s",
                code="timeout",
                headers=CLOSE,
            ) from None
        except ClientDisconnect:
            raise ClientGone from None

    def _check_headers(self, http: Request) -> None:
        kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(
                415,
                f"the body is {kind or 'of no type'}, expected application/json",
                code="unsupported_media_type",
                headers=CLOSE,
            )
        require_plain(http)
        length = http.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.max_body_bytes:
            raise self._too_large()

    def _take(self, data: bytearray, part: bytes) -> None:
        if len(data) + len(part) > self._limits.max_body_bytes:
            raise self._too_large()
        if self.held_bytes + len(part) > self._limits.max_bodies_bytes:
            raise Refusal(
                503,
                "requests under way hold as much as they may",
                code="no_room",
                kind=SERVER,
                headers={**CLOSE, **retry_after(1)},
            )
        data += part
        self.held_bytes += len(part)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            f"the body has more than {self._limits.max_body_bytes:,} bytes",
            code="body_too_large",
            headers=CLOSE,
        )


def require_plain(http: Request) -> None:
    """Refuse a body that is compressed by its headers.

    Raises
    ------
    Refusal
        It is.
    """
    encoding = http.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise Refusal(
            415,
            f"the body is {encoding}, expected plain",
            code="unsupported_encoding",
            headers=CLOSE,
        )
