"""The lines of a batch's file: read one by one, and checked before any is answered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aboard.serve.batch_bodies import BatchLine
from aboard.serve.body import understood
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.keeping.blobs import Blobs

_MAX_ERRORS = 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors begin a text with it


class TooLong(Exception):
    """A line is longer than a request may be."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def read_lines(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines that aren't blank, with their numbers from 1; never more than one in memory.

    Raises
    ------
    TooLong
        One has more than `max_bytes`.
    """
    with path.open("rb") as file:
        number = 0
        while data := file.readline(max_bytes + 2):
            number += 1
            line = data.rstrip(b"\r\n")
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if len(line) > max_bytes:
                raise TooLong(number)
            if line.strip():
                yield number, line


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    total : int
        Lines.
    model : str or None
        The one that all of them ask for, by the name of the first.
    errors : list of dict
        What is wrong; nothing is answered then.
    """

    total: int = 0
    model: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class LineCheck:
    """Checks the lines of a batch.

    Parameters
    ----------
    endpoint : str
        The path that all of them must ask for.
    max_lines : int
        How many there may be.
    max_bytes : int
        How long one may be.
    model : callable
        What a model's name stands for; raises a `Refusal` where there is no such model.
    """

    def __init__(
        self, endpoint: str, *, max_lines: int, max_bytes: int, model: Callable[[str], object]
    ) -> None:
        self._endpoint = endpoint
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._model = model
        self._asked: object = None
        self._seen: set[bytes] = set()

    def check(self, blobs: Blobs, name: str, stopped: Callable[[], bool]) -> Checked | None:
        """What the lines in the bytes of a name are like; None where it was `stopped` meanwhile."""
        found = Checked()
        if not blobs.is_sound(name):
            message = "the file can't be read any more, or isn't what was sent"
            found.errors.append(_error("file_damaged", message, None))
            return found
        try:
            for number, data in read_lines(blobs.path(name), self._max_bytes):
                if stopped():
                    return None
                found.total += 1
                if found.total > self._max_lines:
                    message = f"there are more than {self._max_lines:,} lines"
                    found.errors.append(_error("too_many_tasks", message, None))
                    break
                try:
                    self._check_line(data, found)
                except Refusal as refusal:
                    found.errors.append(_told(refusal, number))
                if len(found.errors) >= _MAX_ERRORS:
                    break
        except TooLong as error:
            message = f"the line has more than {self._max_bytes:,} bytes"
            found.errors.append(_error("line_too_long", message, error.line))
        if not found.total and not found.errors:
            found.errors.append(_error("empty_file", "there is no line", None))
        return found

    def _check_line(self, data: bytes, found: Checked) -> None:
        line = understood(BatchLine, data)
        if line.url != self._endpoint:
            raise _bad("url_mismatch", f"url is {line.url!r:.80}, expected {self._endpoint}", "url")
        mark = hashlib.blake2b(line.custom_id.encode(), digest_size=16).digest()
        if mark in self._seen:
            raise _bad(
                "duplicate_custom_id",
                f"custom_id is {line.custom_id!r:.80}, as that of a line before",
                "custom_id",
            )
        self._seen.add(mark)
        name = line.body.get("model")
        if not isinstance(name, str):
            raise _bad("missing_required_parameter", "body.model: is missing", "body.model")
        asked = self._model(name)
        if self._asked is None:
            self._asked, found.model = asked, name
        elif asked is not self._asked:
            raise _bad(
                "model_mismatch",
                f"body.model is {name!r:.80}, expected {found.model!r:.80} as in the first line: "
                "a batch asks one model",
                "body.model",
            )


def _bad(code: str, message: str, param: str) -> Refusal:
    return Refusal(400, message, code=code, param=param)


def _told(refusal: Refusal, line: int) -> dict[str, Any]:
    code = "invalid_json_line" if refusal.code == "invalid_json" else refusal.code
    return _error(code, str(refusal), line, refusal.param)


def _error(code: str, message: str, line: int | None, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": param, "line": line}
