"""Bodies as bytes: of the right kind, not too large, and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.limits import Limits


async def read_body(http: Request, limits: Limits) -> bytes:
    """The body of a request.

    Raises
    ------
    Refusal
        It is no JSON by its headers, too large, or doesn't come in time.
    """
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(
            415,
            f"the body is {kind or 'of no type'}, expected application/json",
            code="unsupported_media_type",
        )
    if http.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "the body is compressed, expected JSON", code="unsupported_encoding")
    try:
        promised = int(http.headers.get("content-length", "0"))
    except ValueError:
        promised = 0
    if promised > limits.max_body_bytes:
        raise _too_large(limits)
    data = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for part in http.stream():
                data += part
                if len(data) > limits.max_body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise Refusal(
            408,
            f"the body was not there after {limits.body_timeout_s:g} s",
            code="timeout",
            headers={"connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Refusal(400, "the connection was closed", code="disconnected") from None
    return bytes(data)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        413,
        f"the body is larger than {limits.max_body_bytes:,} bytes",
        code="body_too_large",
        headers={"connection": "close"},
    )
