"""Forms with a file, which goes to the disk as it comes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from aboard.serve.bodies import CLOSE, require_plain
from aboard.serve.leaving import ClientGone
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.keeping.blobs import Incoming
    from aboard.serve.keeping.kept import Kept

_WRITTEN_AT_ONCE = 1 << 20
_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 1024
_AROUND_BYTES = 64 << 10  # what a form may have beside the file
_SLOWEST_BYTES_PER_S = 4096
_FILE = "file"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_AS_IT_IS = (
    b"binary",
    b"8bit",
    b"7bit",
)  # of a part's transfer encodings, which clients write no more


@dataclass(slots=True)
class Upload:
    """A form that was received.

    Attributes
    ----------
    incoming : Incoming
        The file's bytes.
    filename : str or None
        None: there was no file.
    fields : dict of str to str
        All the others.
    """

    incoming: Incoming
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(http: Request, kept: Kept, patience_s: float) -> AsyncIterator[Upload]:
    """The form of a request; its file is removed at the end of the block, unless it was kept.

    `patience_s`: for how long nothing of it may come, and by how much all of it may be later than a
    very slow network brings it.

    Raises
    ------
    Refusal
        It is no form, too large, or doesn't come.
    ClientGone
        The connection was closed before all was there.
    AboardError
        There is no room for it.
    """
    boundary = _boundary(http)
    most_bytes = kept.quotas.max_file_bytes
    length = http.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most_bytes + _AROUND_BYTES:
        raise _too_large(most_bytes)
    incoming = await kept.aside(kept.files.receive)
    try:
        upload = Upload(incoming)
        form = Form(boundary, upload, most_bytes)
        await _receive(http, form, kept, patience_s)
        yield upload
    finally:
        await asyncio.shield(kept.aside(incoming.close))


async def _receive(http: Request, form: Form, kept: Kept, patience_s: float) -> None:
    parts, began, n_bytes = http.stream(), time.monotonic(), 0
    while True:
        late_s = time.monotonic() - began - n_bytes / _SLOWEST_BYTES_PER_S
        try:
            part = await asyncio.wait_for(anext(parts, None), patience_s - max(0.0, late_s))
        except TimeoutError:
            raise Refusal(
                408,
                f"the file came too slowly, after {n_bytes:,} bytes",
                code="timeout",
                headers=CLOSE,
            ) from None
        except ClientDisconnect:
            raise ClientGone from None
        if part:
            n_bytes += len(part)
            form.take(part)
        if part is None or len(form.unwritten) >= _WRITTEN_AT_ONCE:
            data, form.unwritten = bytes(form.unwritten), bytearray()
            await kept.aside(form.upload.incoming.write, data)
            await kept.aside(kept.files.require_room)
        if part is None:
            break
    form.finish()


class Form:
    """Takes a form apart; what belongs to the file is `unwritten` until somebody writes it."""

    def __init__(self, boundary: bytes, upload: Upload, most_bytes: int) -> None:
        self.upload = upload
        self.unwritten = bytearray()
        self._left = most_bytes
        self._most = most_bytes
        self._around = _AROUND_BYTES
        self._complete = False
        self._headers: list[tuple[bytearray, bytearray]] = []
        self._name = ""
        self._value = bytearray()
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_begin": lambda: self._headers.append((bytearray(), bytearray())),
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_headers_finished": self._open,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._see_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except ValueError:
            raise _malformed() from None

    def take(self, data: bytes) -> None:
        """Take in a part of the body."""
        before = len(self.unwritten)
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise _malformed() from None
        self._around -= len(data) - (len(self.unwritten) - before)
        if self._around < 0:
            raise _bad("the form has too much beside the file", "invalid_form")

    def finish(self) -> None:
        """There is no more."""
        if not self._complete:
            raise _malformed()
        if self.upload.filename is None:
            raise _bad("file: is missing", "missing_required_parameter", _FILE)
        if not self.upload.incoming.size_bytes:
            raise _bad("file: is empty", "empty_file", _FILE)

    def _begin(self) -> None:
        self._headers.clear()
        self._value = bytearray()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][0].extend(data[start:end])

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][1].extend(data[start:end])

    def _open(self) -> None:
        headers = {bytes(name).lower(): bytes(value) for name, value in self._headers}
        _, options = parse_options_header(headers.get(b"content-disposition", b""))
        self._name = _text(options.get(b"name", b""), None)
        encoding = headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in _AS_IT_IS:
            raise _bad("the form has a part that is encoded, expected plain", "invalid_form")
        if self._name == _FILE:
            if self.upload.filename is not None:
                raise _bad("file: there are several", "invalid_form", _FILE)
            name = _text(options.get(b"filename", b""), _FILE)
            if not 1 <= len(name) <= 255 or _CONTROL.search(name):
                raise _bad(
                    "file: expected with a filename of 1 to 255 letters, none of them a control "
                    "character",
                    "invalid_value",
                    _FILE,
                )
            self.upload.filename = name
        elif self._name in self.upload.fields:
            raise _bad(f"{self._name}: there are several", "invalid_form", self._name)
        elif len(self.upload.fields) >= _MAX_FIELDS:
            raise _bad("the form has too many fields", "invalid_form")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._name == _FILE:
            self._left -= end - start
            if self._left < 0:
                raise _too_large(self._most)
            self.unwritten += memoryview(data)[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise _bad(f"{self._name}: is too long", "invalid_value", self._name)

    def _end(self) -> None:
        if self._name != _FILE:
            self.upload.fields[self._name] = _text(self._value, self._name)

    def _see_end(self) -> None:
        self._complete = True


def _text(data: bytes | bytearray, param: str | None) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _bad(
            "the form has a name or a value that is no UTF-8", "invalid_form", param
        ) from None


def _boundary(http: Request) -> bytes:
    kind, options = parse_options_header(http.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise Refusal(
            415,
            f"the body is {kind.decode('latin-1') or 'of no type'}, expected multipart/form-data",
            code="unsupported_media_type",
            headers=CLOSE,
        )
    require_plain(http)
    if not options.get(b"boundary"):
        raise _malformed()
    return options[b"boundary"]


def _bad(message: str, code: str, param: str | None = None) -> Refusal:
    return Refusal(400, message, code=code, param=param, headers=CLOSE)


def _malformed() -> Refusal:
    return _bad("the body is no form of multipart/form-data, or was cut short", "invalid_form")


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"the file has more than {most_bytes:,} bytes",
        code="file_too_large",
        param=_FILE,
        headers=CLOSE,
    )
