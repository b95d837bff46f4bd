"""The bytes of a GGUF header, read in order through one bounded window.

Whatever a length in the file claims is held against the length of the file before anything is
allocated for it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.checkpoint.file_bytes import CUT_SHORT, FileBytes
from aboard.checkpoint.gguf_strings import InvalidString, StringArray, StringCollector
from aboard.errors import MalformedFile, UnsupportedFile

# The largest header known, of a 262,144-token vocabulary, is about 16 MB.
MAX_HEADER_BYTES = 256 << 20
# Texts outside of arrays become Python strings, which may take four bytes a character.
MAX_TEXT_BYTES = 32 << 20
# Names come back in messages. The format has 64 bytes for tensors; some tools write longer ones.
MAX_NAME_BYTES = 1024
WINDOW_BYTES = 64 << 10

_UINT64 = struct.Struct("<Q")


class HeaderStream:
    """The bytes of a header, in order.

    Attributes
    ----------
    reading : str
        What is being read, for messages.
    """

    def __init__(self, file: FileBytes) -> None:
        self.file = file
        self.reading = "the header"
        self._text_bytes = 0
        self._window = b""
        self._at = 0  # where reading stands within the window
        self._window_end = 0  # where the window ends within the file

    @property
    def position(self) -> int:
        """Where reading stands within the file."""
        return self._window_end - len(self._window) + self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._window):
            if size > WINDOW_BYTES:
                return bytes(self._fill(np.empty(self.claim(size), np.uint8)))
            self._refill(size)
            end = size
        taken = self._window[self._at : end]
        self._at = end
        return taken

    def claim(self, size: int, count: int = 1) -> int:
        """`size` times `count`, where the file has so many bytes left."""
        size *= count
        if self.position + size > self.file.size:
            raise MalformedFile(
                f"{self.file.path}: {self.reading} claims {size} bytes at byte {self.position}, "
                f"but the file ends at byte {self.file.size}",
                hint=CUT_SHORT,
            )
        if self.position + size > MAX_HEADER_BYTES:
            raise UnsupportedFile(
                f"{self.file.path}: {self.reading} reaches beyond {MAX_HEADER_BYTES} bytes, "
                "the most that Aboard reads as a header"
            )
        return size

    def unpack(self, layout: struct.Struct) -> Any:
        """The next number, laid out as `layout`."""
        return layout.unpack(self.take(layout.size))[0]

    def name(self) -> str:
        """The next string, which names a key or a tensor."""
        size = self.unpack(_UINT64)
        if not 1 <= size <= MAX_NAME_BYTES:
            raise self.malformed(f"has {size} bytes, expected 1 to {MAX_NAME_BYTES}")
        return self._text(size)

    def text(self) -> str:
        """The next string."""
        return self._text(self.unpack(_UINT64))

    def texts(self, count: int) -> StringArray:
        """The next `count` strings, kept as bytes."""
        self.claim(_UINT64.size, count)
        strings = StringCollector()
        try:
            while len(strings) < count:
                self._at = strings.scan(self._window, self._at, count - len(strings))
                if len(strings) < count:
                    strings.append(self.take(self.claim(self.unpack(_UINT64))))
        except InvalidString as error:
            raise self.malformed(str(error)) from None
        return strings.collected()

    def numbers(self, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """The next `count` numbers of `dtype`, read-only."""
        self.claim(dtype.itemsize, count)
        numbers = np.empty(count, dtype)
        if count:
            self._fill(numbers.view(np.uint8))
        numbers.flags.writeable = False
        return numbers

    def malformed(self, what: str) -> MalformedFile:
        """The error that says `what` about the part being read."""
        return MalformedFile(
            f"{self.file.path}: {self.reading} {what}",
            hint="The file is damaged or was made by a faulty tool: get it or convert it again.",
        )

    def _text(self, size: int) -> str:
        start = self.position
        self.claim(size)
        self._text_bytes += size
        if self._text_bytes > MAX_TEXT_BYTES:
            raise UnsupportedFile(
                f"{self.file.path}: the texts in the header are longer than {MAX_TEXT_BYTES} "
                f"bytes together, the most that Aboard reads, up to {self.reading}"
            )
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise self.malformed(f"is not UTF-8 text, at byte {start}") from None

    def _fill(self, buffer: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`buffer` with the next bytes: the rest of the window, then the file."""
        rest = self._window[self._at : self._at + len(buffer)]
        buffer[: len(rest)] = np.frombuffer(rest, np.uint8)
        self._at += len(rest)
        if len(rest) < len(buffer):
            self.file.read_into(buffer.data[len(rest) :], self._window_end)
            self._window_end += len(buffer) - len(rest)
            self._window, self._at = b"", 0
        return buffer

    def _refill(self, size: int) -> None:
        """Move the window to where reading stands; it then has at least `size` bytes."""
        self.claim(size)
        start = self.position
        window = bytearray(min(WINDOW_BYTES, self.file.size - start))
        self.file.read_into(memoryview(window), start)
        self._window, self._at, self._window_end = bytes(window), 0, start + len(window)
