"""What an evaluation has found so far, in a file, so that one that was killed goes on.

Each line is the CRC-32 of the rest, and a JSON list: what it is of, its number, its figures. A
kill cuts at most the last line short; such a line, or a damaged one, is computed again. Numbers
are written so that they come back bit by bit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from aboard.closing import Closing
from aboard.errors import UsageError


def cache_folder() -> Path:
    """Where unfinished evaluations lie by default: `aboard/evaluate` in the XDG cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # the XDG specification ignores a relative path
        cache = Path.home() / ".cache"
    return cache / "aboard" / "evaluate"


class Unfinished(Closing):
    """The figures of one evaluation, read from its file and added to it.

    Parameters
    ----------
    path : Path or None
        The file; made where it is missing. None: nothing is kept. Where it can't be written the
        evaluation goes on without it.
    key : str
        The hash of all that decides the figures: those of another are not taken.

    Raises
    ------
    UsageError
        The file is something else, which would be lost when this is finished.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self._key = path, key
        self._known: dict[tuple[str, int], Any] = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        _refuse_foreign(path)
        with contextlib.suppress(OSError):
            for of, number, figures in _lines(path, key):
                self._known[of, number] = figures
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered: a line is there as soon as it was written
            self._file = path.open("ab", buffering=0)
            if path.stat().st_size:
                self._file.write(b"\n")  # behind a line that was cut short

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def discard(self) -> None:
        """Close the file and remove it: the evaluation is finished."""
        self.close()
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def known(self, of: str, number: int) -> Any | None:
        """Figures that an earlier run found; None where it didn't."""
        return self._known.get((of, number))

    def add(self, of: str, number: int, figures: object) -> None:
        """Keep figures."""
        if self._file is None:
            return
        rest = json.dumps([self._key, of, number, figures]).encode()
        try:
            self._file.write(b"%08x %s\n" % (zlib.crc32(rest), rest))
        except OSError:  # no room: the evaluation itself needs none
            self.close()


_LINE = re.compile(rb"\n*[0-9a-f]{8} \[")


def _refuse_foreign(path: Path) -> None:
    """Refuse what doesn't begin as such a file does, even if that is no more than a few bytes."""
    try:
        mode = path.stat().st_mode
        begin = b""
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                begin = file.read(64).lstrip(b"\n")[:10]
    except OSError:
        return  # missing, or of no use: see `Unfinished`
    if not stat.S_ISREG(mode) or not _LINE.match(begin + b"00000000 ["[len(begin) :]):
        raise UsageError(
            f"{path}: is something else than an unfinished evaluation",
            hint="Name a new file, or leave --state out.",
        )


def _lines(path: Path, key: str) -> Iterator[tuple[str, int, Any]]:
    with path.open("rb") as file:
        for line in file:
            check, _, rest = line.rstrip(b"\n").partition(b" ")
            if check != b"%08x" % zlib.crc32(rest):
                continue
            try:
                of_key, of, number, figures = json.loads(rest)
            except ValueError:
                continue
            if of_key == key:
                yield of, number, figures
