"""The page at `/` and its files: read once, a route each, and what a browser may do with them.

No path of a request reaches the disk: there is a route for each file, and no other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.responses import Response

from aboard.serve.endpoint import Call, Endpoint

FOLDER = Path(__file__).parent / "page"
START = "index.html"

# Scripts and styles come from files of this server alone; no text can become a script, nor
# markup: trusted-types refuses innerHTML and its like to the page's own scripts, too.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_HEADERS = {
    "cache-control": "no-cache",  # kept, but asked for each time: by its ETag
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def endpoints() -> tuple[Endpoint, ...]:
    """A route for each file of the page: `/` for where it starts, `/page/NAME` for the others."""
    files = sorted(each for each in FOLDER.iterdir() if each.suffix in _TYPES)
    return tuple(_endpoint(each) for each in files)


def _endpoint(file: Path) -> Endpoint:
    data = file.read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {**_HEADERS, "content-type": _TYPES[file.suffix], "etag": tag}

    async def give(call: Call[None]) -> Response:
        known = call.http.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(data, headers=headers)

    return Endpoint(
        method="GET",
        path="/" if file.name == START else f"/page/{file.name}",
        handle=give,
        summary=f"The page's {file.name}.",
        gives=_TYPES[file.suffix],
        open=True,
    )
