"""A text as windows of tokens, read and tokenized piece by piece, never whole.

A window is a sequence for itself. With a tokenizer that puts BOS before a text each window begins
with it, and so its first token is scored as well; with others it is only seen. A text is encoded
in blocks of 256 KiB, cut where a line ends if one does; the tokens around a cut may differ from
those of the whole text.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aboard.checkpoint.file_bytes import FileBytes
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import CheckpointError, UsageError

BLOCK_CHARS = 1 << 18
_READ_BYTES = 1 << 20
_MAX_LOOK_BACK = 64  # ends of lines that are tried for a cut


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens that are computed together: each but the first is scored.

    Attributes
    ----------
    ids : tuple of int
        BOS, if any, and the tokens of the text; at least two.
    n_bytes : int
        Bytes that the scored tokens spell.
    """

    ids: tuple[int, ...]
    n_bytes: int

    @property
    def n_scored(self) -> int:
        """Tokens that are scored."""
        return len(self.ids) - 1


class FileText:
    """The texts of files, one after the other; no window goes over the end of one.

    Parameters
    ----------
    paths : sequence of path
        Ordinary files of UTF-8.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = [Path(path) for path in paths]
        self.name = ", ".join(path.name for path in self._paths)
        self.builtin = False

    def sha256(self) -> str:
        """The hash of the bytes of all files, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for path in self._paths:
            for chunk in _chunks(path):
                digest.update(chunk)
        return digest.hexdigest()

    def blocks(self) -> Iterator[Iterator[str]]:
        """The blocks of each file."""
        for path in self._paths:
            yield _blocks(_decoded(path))


class OwnText:
    """A text that is at hand."""

    def __init__(self, name: str, text: str, *, builtin: bool = False) -> None:
        self.name, self.builtin, self._text = name, builtin, text

    def sha256(self) -> str:
        """The hash of its UTF-8."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    def blocks(self) -> Iterator[Iterator[str]]:
        """Its blocks."""
        yield _blocks([self._text])


Text = FileText | OwnText


def windows(text: Text, tokenizer: Tokenizer, size: int) -> Iterator[Window]:
    """The windows of `text`, of `size` tokens, BOS included; the last of a file may be shorter.

    Raises
    ------
    UsageError
        A file can't be read, is no ordinary file, or is not UTF-8.
    """

    @cache
    def length_of(token: int) -> int:
        return len(tokenizer.piece(token))

    before = (tokenizer.bos_id,) if tokenizer.adds_bos and tokenizer.bos_id is not None else ()
    room = size - len(before)
    for blocks in text.blocks():
        left: list[int] = []
        for block in blocks:
            left += tokenizer.encode(block, add_special=False, parse_special=False)
            while len(left) >= room:
                part, left = left[:room], left[room:]
                yield _window(before, part, length_of)
        if len(left) + len(before) > 1:
            yield _window(before, left, length_of)


def _window(before: tuple[int, ...], part: list[int], length_of: Callable[[int], int]) -> Window:
    ids = (*before, *part)
    return Window(ids, sum(map(length_of, ids[1:])))


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, piece by piece."""
    try:
        file = FileBytes(path)
        try:
            for begin in range(0, file.size, _READ_BYTES):
                chunk = bytearray(min(_READ_BYTES, file.size - begin))
                file.read_into(memoryview(chunk), begin)
                yield bytes(chunk)
        finally:
            file.close()
    except CheckpointError as error:
        raise UsageError(str(error), hint=error.hint) from None


def _decoded(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    done = 0
    for chunk in _chunks(path):
        pending = len(decoder.getstate()[0])
        try:
            yield decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise _not_utf8(path, done - pending + error.start) from None
        done += len(chunk)
    if pending := len(decoder.getstate()[0]):
        raise _not_utf8(path, done - pending)


def _not_utf8(path: Path, at: int) -> UsageError:
    return UsageError(
        f"{path}: is not UTF-8 at byte {at}", hint="Convert the text: iconv -t UTF-8."
    )


def _blocks(pieces: Iterable[str]) -> Iterator[str]:
    """The text of `pieces`, cut anew."""
    held = ""
    for piece in pieces:
        held += piece
        while len(held) > BLOCK_CHARS:
            at = _cut(held)
            yield held[:at]
            held = held[at:]
    if held:
        yield held


def _cut(text: str) -> int:
    """Where to cut at most `BLOCK_CHARS` off: behind a line, before a space, or anywhere."""
    for mark, behind in (("\n", 1), (" ", 0)):
        at = BLOCK_CHARS
        for _ in range(_MAX_LOOK_BACK):
            at = text.rfind(mark, 1, at)
            if at < 0:
                break
            following, preceding = text[at + 1], text[at - 1]
            if not following.isspace() and (behind or not preceding.isspace()):
                return at + behind
    return BLOCK_CHARS
