"""A drafter that quotes: text that occurred before goes on as it did then (prompt lookup).

Where the last tokens occurred earlier in the prompt or in the answer, what followed there is the
guess: of all occurrences the one that agrees longest, and of those the latest. They are found as
compressors find them: a table of pairs of tokens leads to the latest place, and each place to the
one before it. A token costs a table's look-up and eight bytes; while a quotation goes on, its
place moves along without any search.

Every guess is scored, those that were not worth a pass as well: how often a match of some length is
right decides how far the next one of that length is followed. So text that quotes nothing is not
slowed down by trying.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aboard.engine.speculation import worthwhile

if TYPE_CHECKING:
    from aboard.engine.sampling import Sampling
    from aboard.engine.speculation import Cost

SHORTEST_MATCH = 2
LONGEST_MATCH = 32
_SLOTS = 1 << 14
_MAX_PLACES = 16
"""Places looked at for one match, the latest first."""

# Matches are of kinds: of 2 tokens, 3, 4 to 7, 8 to 15, from 16; and how often the next token of
# each kind is taken to be right before any was seen. Where a quotation has just been left, even one
# token close behind that place is a match, and a better one than it would be elsewhere.
_KINDS = (3, 4, 8, 16)
_FIRST_CHANCES = (0.15, 0.3, 0.6, 0.8, 0.95)
_FIRST_CHANCES_BACK = (0.5, 0.6, 0.8, 0.9, 0.9)
_RATE = 1 / 12
_LEFT_FROM = 8
_BACK_WITHIN = 8
"""A match of `_LEFT_FROM` tokens is a quotation; it may go on this many tokens further on."""


class PromptLookup:
    """Guesses that the text goes on as it did where its last tokens occurred before."""

    def __init__(self) -> None:
        self._forget()

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        """See `Drafter`; `sampling` doesn't matter here."""
        self._forget()
        for token in tokens:
            self._append(token)
        self._search()

    def push(self, token: int) -> None:
        """See `Drafter`."""
        hit = False
        if self._next >= 0:
            hit = self._tokens[self._next] == token
            kind = bisect_right(_KINDS, self._matched)
            self._chances[kind] += ((1.0 if hit else 0.0) - self._chances[kind]) * _RATE
            if not hit and self._matched >= _LEFT_FROM:
                self._left, self._patience = self._next, _BACK_WITHIN
        self._append(token)
        if hit:
            self._next += 1
            self._matched += 1
        else:
            self._search()

    def propose(self, limit: int, cost: Cost) -> Sequence[int]:
        """See `Drafter`."""
        if self._next < 0:
            return ()
        matched, chances = self._matched, self._chances
        expected = (chances[bisect_right(_KINDS, matched + n)] for n in range(limit))
        length = worthwhile(expected, cost)
        draft = self._tokens[self._next : self._next + length].tolist()
        while len(draft) < length:  # the place reaches up to now: what repeats goes on repeating
            draft.append(draft[len(draft) - (len(self._tokens) - self._next)])
        return draft

    def _forget(self) -> None:
        self._tokens = array("i")
        self._before = array("i")  # of each token, where the pair it ends stood before; or -1
        self._latest = array("i", [-1]) * _SLOTS
        self._chances_elsewhere = list(_FIRST_CHANCES)
        self._chances_back = list(_FIRST_CHANCES_BACK)
        self._chances = self._chances_elsewhere  # those of the match
        self._next = -1  # the index of the token that is expected next; or -1
        self._matched = 0
        self._left = 0  # the index at which the last quotation was left
        self._patience = 0  # how many tokens more it is waited for

    def _append(self, token: int) -> None:
        at = len(self._tokens)
        self._tokens.append(token)
        if not at:
            self._before.append(-1)
            return
        slot = (self._tokens[at - 1] * 0x9E3779B1 + token * 0x85EBCA6B >> 12) % _SLOTS
        self._before.append(self._latest[slot])
        self._latest[slot] = at

    def _search(self) -> None:
        self._next, self._matched = -1, SHORTEST_MATCH - 1
        self._chances = self._chances_elsewhere
        tokens, last = self._tokens, len(self._tokens) - 1
        place = self._before[last] if last > 0 else -1
        for _ in range(_MAX_PLACES):
            if place < 0:
                break
            length = self._agreement(place)
            if length > self._matched:
                self._next, self._matched = place + 1, length
                if length == LONGEST_MATCH:
                    break
            place = self._before[place]
        if self._patience and self._matched < _LEFT_FROM:
            self._patience -= 1
            self._search_back(tokens[last])

    def _search_back(self, token: int) -> None:
        """Take up the quotation that was left, behind that place."""
        until = min(self._left + _BACK_WITHIN, len(self._tokens) - 1)
        try:
            place = self._tokens.index(token, self._left, until)
        except ValueError:
            return
        self._next, self._matched = place + 1, self._agreement(place)
        self._chances = self._chances_back

    def _agreement(self, place: int) -> int:
        """How many tokens up to the one at `place` are the last ones, at most LONGEST_MATCH."""
        tokens, last = self._tokens, len(self._tokens) - 1
        length, most = 0, min(LONGEST_MATCH, place + 1)
        while length < most and tokens[place - length] == tokens[last - length]:
            length += 1
        return length
