"""Finding special tokens in a text: they are cut out first, the plain text between is encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping


class SpecialTokens:
    """The special tokens of one tokenizer, found leftmost first and of these the longest.

    Parameters
    ----------
    ids : mapping of str to int
        Token text -> id. An empty text is never found.
    strip_after : frozenset of int
        Tokens that swallow the white space to their right.
    """

    def __init__(self, ids: Mapping[str, int], strip_after: frozenset[int] = frozenset()) -> None:
        self._ids = {text: token_id for text, token_id in ids.items() if text}
        self._strip_after = strip_after
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
                while begin < len(text) and (text[begin].isspace() or text[begin] == "▁"):
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
