"""A file's bytes as a response, a piece at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from aboard.serve.leaving import ClientGone, unless_gone
from aboard.serve.noted import noted
from aboard.serve.patience import Patience, Unread

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aboard.serve.aside import Aside

_PIECE_BYTES = 256 << 10


class FileStream(Response):
    """A response of the bytes of a file that is open; deleting it changes nothing any more.

    Parameters
    ----------
    path : Path
        It is opened here; whoever makes the response has to have it called.
    aside : Aside
        Where it is read.
    send_timeout_s : float
        For which a client may read nothing.

    Raises
    ------
    OSError
        It can't be opened.
    """

    media_type = "application/octet-stream"

    def __init__(self, path: Path, aside: Aside, *, send_timeout_s: float) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.headers["content-length"] = str(os.fstat(self._descriptor).st_size)
        self._aside = aside
        self._send_timeout_s = send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes."""
        try:
            await unless_gone(receive, self._send_all(scope, send))
        except ClientGone:
            noted(scope).code = "client_gone"
        except Unread:
            noted(scope).code = "client_reads_nothing"
        finally:
            os.close(self._descriptor)

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with Patience(send, self._send_timeout_s) as patience:
            if scope["method"] != "HEAD":
                while piece := await self._aside(os.read, self._descriptor, _PIECE_BYTES):
                    await patience.send(piece)
            await patience.send(b"", more=False)
