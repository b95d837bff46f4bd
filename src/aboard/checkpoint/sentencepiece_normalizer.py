"""What SentencePiece does to a text before it merges: characters replaced, spaces taken together.

The table of replacements is that of `tokenizer.ggml.precompiled_charsmap`: a double-array trie
over UTF-8 (the Darts library's), and the replacements, each ended by a NUL.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np

from aboard.errors import TokenizerError

MAX_REPLACEMENT_BYTES = 256  # the longest of Unicode's own has 33
_DAMAGED = "The file is damaged or was made by a faulty converter: get or convert it again."


class SentencePieceNormalizer:
    """Replaces characters and takes spaces together; a space is still a space.

    Parameters
    ----------
    charsmap : bytes
        The table, empty for none.
    removes_extra_spaces : bool
        Of spaces in a row one is left, and none at the start.

    Raises
    ------
    TokenizerError
        The table is damaged.
    """

    def __init__(self, charsmap: bytes, *, removes_extra_spaces: bool) -> None:
        self._removes = removes_extra_spaces
        self._units, self._texts = _parts(charsmap) if charsmap else ([], b"")

    def normalize(self, text: str) -> str:
        """`text` as it is merged, spaces at its end included."""
        if not self._units:
            return re.sub("  +", " ", text.lstrip(" ")) if self._removes else text
        found = bytearray()
        after_space = self._removes
        for part in self._replaced(text.encode()):
            left = part.lstrip(b" ") if after_space else part
            found += left
            after_space = self._removes and (left.endswith(b" ") if left else after_space)
        return found.decode("utf-8", "replace")

    def _replaced(self, octets: bytes) -> Iterator[bytes]:
        """The characters of a text, or what stands for them."""
        at = 0
        while at < len(octets):
            length, start = self._longest(octets, at)
            if length:
                yield self._texts[start : self._texts.index(b"\0", start)]
            else:
                length = 1
                while at + length < len(octets) and octets[at + length] & 0xC0 == 0x80:
                    length += 1
                yield octets[at : at + length]
            at += length

    def _longest(self, octets: bytes, at: int) -> tuple[int, int]:
        """The length of the longest entry at `at`, 0 where there is none, and its replacement."""
        units, n_units = self._units, len(self._units)
        found = (0, 0)
        node = _offset(units[0])
        for end in range(at, len(octets)):
            node ^= octets[end]
            unit = units[node] if node < n_units else 0
            if unit & 0x800000FF != octets[end] or node >= n_units:
                break
            node ^= _offset(unit)
            if unit & 0x100 and node < n_units:
                start = units[node] & 0x7FFFFFFF
                if start < len(self._texts):
                    found = (end - at + 1, start)
        return found


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _parts(charsmap: bytes) -> tuple[list[int], bytes]:
    """The units of the trie and the replacements."""
    size = struct.unpack_from("<I", charsmap)[0] if len(charsmap) > 4 else 0
    texts = charsmap[4 + size :]
    longest = max(map(len, texts.split(b"\0")))
    if not size or size % 4 or size > len(charsmap) - 4 or not texts.endswith(b"\0"):
        raise TokenizerError("the table of replaced characters is cut short", hint=_DAMAGED)
    if longest > MAX_REPLACEMENT_BYTES:
        raise TokenizerError(
            f"the table of replaced characters has a replacement of {longest} bytes, expected at "
            f"most {MAX_REPLACEMENT_BYTES}",
            hint=_DAMAGED,
        )
    return np.frombuffer(charsmap, "<u4", size // 4, 4).tolist(), texts
