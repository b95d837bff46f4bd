"""A file's bytes as a response, a piece at a time."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from aboard.serve.leaving import ClientGone, unless_gone
from aboard.serve.noted import noted

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
    size_bytes : int
        How many bytes there must be.
    aside : Aside
        Where it is read.

    Raises
    ------
    OSError
        It can't be opened, or has more or fewer bytes.
    """

    media_type = "application/octet-stream"

    def __init__(self, path: Path, size_bytes: int, aside: Aside) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        self._file = path.open("rb")
        if os.fstat(self._file.fileno()).st_size != size_bytes:
            self._file.close()
            raise OSError(errno.EIO, f"expected {size_bytes} bytes", str(path))
        self.headers["content-length"] = str(size_bytes)
        self._aside = aside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes."""
        try:
            await unless_gone(receive, self._send_all(scope, send))
        except ClientGone:
            noted(scope).note_gone()
        finally:
            self._file.close()  # waits for a piece that is being read

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            while piece := await self._aside(self._file.read, _PIECE_BYTES):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
