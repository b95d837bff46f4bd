"""Whose turn it is: requests that wait, of several owners."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aboard.engine.scheduler_request import Request

_Owner = tuple[bool, str]  # whether it is in the background, and whose


class FairQueue:
    """Requests in the order in which they get their turn.

    Next is the oldest request of the owner who has the fewest under way; of several such owners, of
    the one whose last turn was longest ago. So nobody waits for all that another asked for, and
    requests of one owner alone keep their order. Requests in the background come after all others.
    """

    def __init__(self) -> None:
        self._by_owner: dict[_Owner, deque[Request]] = {}
        self._last_turn: dict[_Owner, int] = {}
        self._n_turns = 0
        self._n_requests = 0

    def __len__(self) -> int:
        return self._n_requests  # other threads ask, too: nothing may be iterated over

    def __iter__(self) -> Iterator[Request]:
        for requests in self._by_owner.values():
            yield from requests

    def add(self, request: Request) -> None:
        """Behind its owner's others."""
        self._by_owner.setdefault(_owner(request), deque()).append(request)
        self._n_requests += 1

    def remove(self, request: Request) -> None:
        """Take out a request that is no longer wanted."""
        self._by_owner[_owner(request)].remove(request)
        self._forget(_owner(request))

    def next(self, under_way: Iterable[Request]) -> Request:
        """Take out the request whose turn it is; there is one."""
        n_under_way = Counter(map(_owner, under_way))
        owner = min(
            self._by_owner,
            key=lambda each: (each[0], n_under_way[each], self._last_turn.get(each, 0)),
        )
        request = self._by_owner[owner].popleft()
        self._n_turns += 1
        self._last_turn[owner] = self._n_turns
        self._forget(owner)
        return request

    def _forget(self, owner: _Owner) -> None:
        """One request of an owner is gone; keep nothing of who waits for nothing."""
        self._n_requests -= 1
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if not self._by_owner:
            self._last_turn.clear()


def _owner(request: Request) -> _Owner:
    return request.background, request.owner
