"""Responses that are kept in memory, in bounds of number, size and time."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from aboard.serve.refusals import Refusal
from aboard.serve.responses.given import ResponseObject
from aboard.serve.responses.items import Item

if TYPE_CHECKING:
    from aboard.serve.limits import Limits


class KeptResponse(BaseModel):
    """A response, and what it added to the conversation that it follows on."""

    response: ResponseObject
    input: list[Item]


@dataclass(slots=True)
class _Entry:
    text: bytes  # a KeptResponse as JSON, whose size is known
    previous: str | None
    used: float


class _Shelf:
    """What is kept for one holder; what was not asked for the longest goes first."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the last used last
        self._held_bytes = 0

    def put(self, name: str, text: bytes, previous: str | None) -> None:
        self._entries[name] = _Entry(text, previous, self._clock())
        self._held_bytes += len(text)
        self._forget_old()

    def used(self, name: str) -> _Entry | None:
        """It was asked for now."""
        self._forget_old()
        entry = self._entries.get(name)
        if entry is not None:
            entry.used = self._clock()
            self._entries.move_to_end(name)
        return entry

    def drop(self, name: str) -> None:
        self._held_bytes -= len(self._entries.pop(name).text)

    def _forget_old(self) -> None:
        limits, oldest = self._limits, self._clock() - self._limits.kept_s
        while self._entries:
            name, entry = next(iter(self._entries.items()))
            if (
                entry.used >= oldest
                and len(self._entries) <= limits.max_kept_responses
                and self._held_bytes <= limits.max_kept_bytes
            ):
                return
            self.drop(name)


class KeptResponses:
    """Keeps responses for their holders.

    A response holds what was said since the one before it. Whoever follows on it uses all that it
    follows on.

    Parameters
    ----------
    limits : Limits
        `max_kept_responses`, `max_kept_bytes` and `kept_s`, of each holder.
    clock : callable
        Seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._shelves: defaultdict[str, _Shelf] = defaultdict(lambda: _Shelf(limits, clock))

    def keep(self, holder: str, response: ResponseObject, added: Iterable[Item]) -> None:
        """Keep a response, and what was `added` to the conversation for it."""
        kept = KeptResponse(response=response, input=list(added))
        text = kept.model_dump_json(exclude_unset=True).encode()
        self._shelves[holder].put(response.id, text, response.previous_response_id)

    def texts(self, holder: str, name: str) -> list[bytes]:
        """The response called `name` behind all that it follows on, each a `KeptResponse` as JSON.

        Raises
        ------
        Refusal
            It isn't kept, or one before it isn't.
        """
        texts = []
        following: str | None = name
        while following is not None:
            entry = self._shelves[holder].used(following)
            if entry is None:
                raise _missing(name, following)
            texts.append(entry.text)
            following = entry.previous
        return texts[::-1]

    def text(self, holder: str, name: str) -> bytes:
        """The response called `name`, a `KeptResponse` as JSON.

        Raises
        ------
        Refusal
            It isn't kept.
        """
        entry = self._shelves[holder].used(name)
        if entry is None:
            raise _missing(name, name)
        return entry.text

    def forget(self, holder: str, name: str) -> None:
        """Keep it no more.

        Raises
        ------
        Refusal
            It isn't kept.
        """
        self.text(holder, name)
        self._shelves[holder].drop(name)


def items_of(texts: Iterable[bytes]) -> list[Item]:
    """All items of the conversation that `texts` are, the answers among them."""
    items: list[Item] = []
    for text in texts:
        kept = KeptResponse.model_validate_json(text)
        items += [*kept.input, *kept.response.output]
    return items


def _missing(name: str, missing: str) -> Refusal:
    follows = "" if missing == name else f", on which {name!r} follows"
    return Refusal(404, f"no response {missing!r} is kept here{follows}", code="response_not_found")
