"""Finding special tokens in a text: they are cut out first, the plain text between is encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata

# Unicode's White_Space, as the library has it; `str.isspace` knows four more.
_WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)


class SpecialTokens:
    """The special tokens of one tokenizer, found leftmost first and of these the longest.

    Parameters
    ----------
    ids : mapping of str to int
        Token text -> id. An empty text is never found.
    strip_after : frozenset of int
        Tokens that swallow the white space to their right, marks of spaces included where `marks`.
    """

    def __init__(
        self, ids: Mapping[str, int], strip_after: frozenset[int] = frozenset(), marks: str = ""
    ) -> None:
        self._ids = {text: token_id for text, token_id in ids.items() if text}
        self._strip_after = strip_after
        self._spaces = _WHITE_SPACE + marks
        lengths: dict[str, set[int]] = {}
        for text in self._ids:
            lengths.setdefault(text[:2], set()).add(len(text))
        # By the first two characters: where a text has many spaces or "<", few lengths are tried.
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}
        firsts = "".join(sorted({start[0] for start in lengths}))
        self._first = re.compile(f"[{re.escape(firsts)}]") if firsts else None

    def split(self, text: str) -> Iterator[tuple[str, int | None]]:
        """Yield (plain text, the special token that follows it); the last token may be None."""
        begin = at = 0
        while self._first is not None:
            candidate = self._first.search(text, at)
            if candidate is None:
                break
            start = candidate.start()
            length = self._match(text, start)
            if not length:
                at = start + 1
                continue
            token_id = self._ids[text[start : start + length]]
            yield text[begin:start], token_id
            begin = start + length
            if token_id in self._strip_after:
                while begin < len(text) and text[begin] in self._spaces:
                    begin += 1
            at = begin
        if begin < len(text):
            yield text[begin:], None

    def _match(self, text: str, start: int) -> int:
        """The length of the longest special token at `start`, 0 where there is none."""
        for length in self._lengths.get(text[start : start + 2], ()):
            if text[start : start + length] in self._ids:
                return length
        return 1 if text[start] in self._ids else 0


class PlainEncoder(Protocol):
    """What encodes text that holds no special token, and spells tokens."""

    adds_space: bool
    spaces_after_special: bool
    adds_bos: bool

    def prepare(self, text: str) -> str:
        """`text` as special tokens are looked for in it."""

    def looked_for(self, token: str) -> str:
        """What a user-defined token's text is in a prepared text."""

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """The ids of a prepared `text`; `at_start`: the input begins with it."""

    def piece(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""

    def restore(self, token: str) -> bytes:
        """The bytes of a special token's text."""


class SegmentEncoder:
    """Encodes a text with special tokens in it: these are cut out, `plain` encodes the rest.

    Parameters
    ----------
    known : TokenizerMetadata
        What the file says.
    plain : PlainEncoder
        What encodes the text between special tokens.
    strip_after : frozenset of int
        Special tokens that swallow the white space to their right.
    """

    def __init__(
        self, known: TokenizerMetadata, plain: PlainEncoder, strip_after: frozenset[int]
    ) -> None:
        self._plain = plain
        self._tokens = known.tokens
        self._special = known.control | known.user_defined
        by_text = {plain.looked_for(known.tokens[i]): i for i in known.user_defined}
        self._always_found = SpecialTokens(by_text, strip_after, plain.prepare(" "))
        by_text |= {known.tokens[i]: i for i in known.control}
        self._all_found = SpecialTokens(by_text, strip_after, plain.prepare(" "))
        self.adds_bos = plain.adds_bos
        self.adds_space = plain.adds_space

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of a whole text."""
        found = self._all_found if parse_special else self._always_found
        ids: list[int] = []
        at_start = True
        for plain, special_id in found.split(self._plain.prepare(text)):
            if plain:
                ids += self._plain.encode(plain, at_start=at_start)
            if special_id is not None:
                ids.append(special_id)
            at_start = False
        return ids

    def special_in(self, text: str) -> Iterator[int]:
        """The special tokens that `text` spells out."""
        for _, token_id in self._all_found.split(self._plain.prepare(text)):
            if token_id is not None:
                yield token_id

    def piece(self, token_id: int) -> bytes:
        """The bytes of a token."""
        if token_id in self._special:
            return self._plain.restore(self._tokens[token_id])
        return self._plain.piece(token_id)

    def first_piece(self, token_id: int) -> bytes:
        """The bytes of a token that begins a text: without the space that was put there."""
        return self.piece(token_id).removeprefix(b" ")

    def starts_text(self, token_id: int) -> bool:
        """Whether a text that follows this token begins with an extra space."""
        return self._plain.spaces_after_special and self.adds_space and token_id in self._special
