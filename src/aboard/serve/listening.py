"""The server as a process: it listens, serves, and ends when it is told to."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from aboard.errors import UsageError
from aboard.serve.patience import PatientProtocol

if TYPE_CHECKING:
    from types import FrameType

    from aboard.serve.app import App

_BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files that a server proves itself with; PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Refuse files that aren't a certificate and its key.

        Raises
        ------
        UsageError
            They aren't.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # of ssl, too
            raise UsageError(
                f"{self.certificate}, {self.key}: no certificate and its key: "
                f"{error.strerror or type(error).__name__}",
                hint="Both are PEM files; the key has no password.",
            ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine's own programs reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> list[str]:
    """What clients call a server that listens on `host`; nothing is known of one on any address."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return [host]
    if address.is_unspecified:
        return []
    return [f"[{address}]" if address.version == 6 else str(address)]


def run(
    app: App, host: str, port: int, *, tls: Tls | None = None, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; then take on nothing more, and end what is under way.

    Parameters
    ----------
    app : App
    host : str
        A name or an address of this machine.
    port : int
        0 for any that is free.
    tls : Tls, optional
        Speak HTTPS.
    ready : callable
        Called with the server's URL once it listens.

    Raises
    ------
    UsageError
        It can't listen there, or a file of `tls` isn't what it should be.
    KeyboardInterrupt
        It was SIGINT, and the server has ended.
    """
    server = Server(app, host, port, tls=tls, ready=ready)
    server.run()
    if server.signal == signal.SIGINT:
        raise KeyboardInterrupt


class Server(uvicorn.Server):
    """Uvicorn's server: told where it listens, and ending in good order.

    Attributes
    ----------
    signal : int
        What ended it; 0 for nothing yet.
    """

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        *,
        tls: Tls | None = None,
        ready: Callable[[str], None],
    ) -> None:
        limits = app.service.limits
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=PatientProtocol.within(limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=int(limits.drain_s) + 10,
            **_tls_options(tls),
        )
        super().__init__(config)
        self.signal = 0
        self._service = app.service
        self._place = host, port
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say where."""
        host, port = self._place
        loop = asyncio.get_running_loop()
        try:
            bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"can't listen on {host}, port {port}: {reason}",
                hint="`--port 0` takes any port that is free.",
            ) from None
        sockets = [each.dup() for each in bound.sockets]
        bound.close()
        await super().startup(sockets=sockets)
        scheme = "https" if self.config.is_ssl else "http"
        name = f"[{host}]" if ":" in host else host
        self._ready(f"{scheme}://{name}:{sockets[0].getsockname()[1]}")

    async def shutdown(self, sockets: Any = None) -> None:
        """Let answers under way go on for `Limits.drain_s`, then end them."""
        self._service.ending = True
        loop = asyncio.get_running_loop()
        cut = loop.call_later(self._service.limits.drain_s, self._service.models.close)
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; at the second time at once."""
        self.force_exit = self._service.hurried = self.should_exit
        self.should_exit = self._service.ending = True
        self.signal = sig


def _tls_options(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    tls.check()
    return {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
