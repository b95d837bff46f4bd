"""Who may ask: the Host that was meant, the page that asks, and the key.

A page in the user's own browser can send requests to servers on the user's machine. Two checks stop
it: its Origin is not this server's, and a name that it made to point here is not among the hosts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from aboard.errors import UsageError
from aboard.serve.bodies import CLOSE
from aboard.serve.endpoint import refused
from aboard.serve.noted import noted
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# Beside what clients of the cloud APIs must say, what those for browsers tell of themselves.
_HEADERS = (
    "authorization",
    "content-type",
    "x-api-key",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    *(
        f"x-stainless-{name}"
        for name in (
            "arch",
            "lang",
            "os",
            "package-version",
            "retry-count",
            "runtime",
            "runtime-version",
            "timeout",
        )
    ),
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_DIVIDED = ("cross-site", "same-site")  # what browsers say of requests of other origins


class Guard:
    """Refuses requests that were not meant for this server, or come from other sites' pages.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    hosts : iterable of str
        Names that the server has, without ports.
    origins : iterable of str
        Pages that may ask, such as "https://intranet.example"; the server's own always may.
    public_origins : iterable of str
        What the server's own pages have as theirs behind a proxy, which may speak TLS for it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        origins: Iterable[str],
        public_origins: Iterable[str] = (),
    ) -> None:
        self._origins = frozenset(origins)
        self._public = frozenset(public_origins)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._app = app
        if self._origins:
            self._app = CORSMiddleware(
                app,
                allow_origins=sorted(self._origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=_HEADERS,
                allow_private_network=True,  # who names an origin means it to reach this machine
                expose_headers=["x-request-id", "request-id", "retry-after"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refusal as refusal:
            await refused(refusal, noted(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            raise _forbidden(
                f"this server isn't called {', '.join(hosts) or 'nothing'}", "host_not_allowed"
            )
        if "content-length" in headers and "transfer-encoding" in headers:
            # Where a proxy believes the other one, the rest of the body is a request of its own.
            raise Refusal(
                400,
                "the body's length is told in two ways",
                code="invalid_length",
                headers=CLOSE,
            )
        allowed = {f"{scope['scheme']}://{hosts[0]}", *self._public, *self._origins}
        origins = headers.getlist("origin")
        if not allowed.issuperset(origins):
            raise _forbidden(
                f"pages of {origins[0]} may not ask: --allow-origin names those that may, "
                "--public-origin a proxy of this server",
                "origin_not_allowed",
            )
        if origins or _is_visit(scope, headers):
            return
        if headers.get("sec-fetch-site", "none").lower() in _DIVIDED:
            raise _forbidden("pages of other sites may not ask", "origin_not_allowed")


class Keys:
    """Refuses requests without one of the keys.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    keys : iterable of str
        None: everybody may ask.
    open_paths : iterable of str
        What is answered without a key.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str], open_paths: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key) for key in keys]
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or hand it on."""
        if scope["type"] == "http":
            facts = noted(scope)
            facts.owner = scope["client"][0] if scope.get("client") else ""
            if self._digests and scope["path"] not in self._open:
                number = self._number(_given(Headers(scope=scope)))
                if number is None:
                    await refused(_no_key(), facts)(scope, receive, send)
                    return
                facts.owner = f"key {number}"
                facts.holder = _holder(self._digests[number - 1])
        await self._app(scope, receive, send)

    def _number(self, key: str) -> int | None:
        """Which key it is; the time that takes tells nothing of any."""
        digest = _digest(key)
        same = [hmac.compare_digest(digest, each) for each in self._digests]
        return same.index(True) + 1 if any(same) else None


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether a user followed a link to the page: it then shows in a window of its own."""
    modes = (headers.get("sec-fetch-mode", ""), headers.get("sec-fetch-dest", ""))
    return scope["method"] == "GET" and scope["path"] == "/" and modes == ("navigate", "document")


def checked_hosts(hosts: Iterable[str]) -> list[str]:
    """Names of hosts, without ports.

    Raises
    ------
    UsageError
        One has a scheme, a port, a path or a wildcard.
    """
    checked = []
    for host in hosts:
        if not host or _name(host) != host.lower() or set(host) & set("/*@ "):
            raise UsageError(
                f"{host!r} is no name of a host", hint="Such as model.example or [fd00::1]."
            )
        checked.append(host)
    return checked


def checked_origins(origins: Iterable[str]) -> list[str]:
    """Origins as browsers write them.

    Raises
    ------
    UsageError
        One is no scheme and host, a wildcard, or not as browsers write it.
    """
    checked = []
    for origin in origins:
        scheme, _, rest = origin.partition("://")
        if scheme not in ("http", "https") or not rest or set(rest) & set("/*@ "):
            raise UsageError(
                f"{origin!r} is no origin", hint="Such as https://intranet.example, without a path."
            )
        if origin != origin.lower() or origin.endswith(_DEFAULT_PORTS[scheme]):
            raise UsageError(
                f"{origin!r} is not as browsers write it, and would match no page",
                hint="Small letters, and no port where it is the scheme's own.",
            )
        checked.append(origin)
    return checked


def host_of(origin: str) -> str:
    """The name in an origin, without its port."""
    return _name(origin.partition("://")[2])


def _name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.lower().rpartition(":")
    return (
        name
        if colon and port.isdecimal() and (":" not in name or name.endswith("]"))
        else (host.lower())
    )


def _given(headers: Headers) -> str:
    """The key of a request, as the cloud APIs' clients send it."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _holder(digest: bytes) -> str:
    """What stands for a key where things are kept; the key can't be checked against it."""
    return hashlib.sha256(b"aboard holder\0" + digest).hexdigest()


def _forbidden(message: str, code: str) -> Refusal:
    return Refusal(403, message, code=code, kind="permission_error")


def _no_key() -> Refusal:
    return Refusal(
        401,
        "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY",
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer"},
    )
