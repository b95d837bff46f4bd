"""Whose turn it is: requests that wait, of several owners."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from aboard.engine.scheduler_request import Request

Owner: TypeAlias = str | tuple[str, ...]

MOST_REMEMBERED = 1000
"""Of so many owners, and groups of them, the last turn is known; that of others was before."""

_LIVE, _BACKGROUND = "0", "1"  # in this order


class FairQueue:
    """Requests in the order in which they get their turn.

    Next is the oldest request of the owner who has the fewest under way; of several such owners, of
    the one whose last turn was longest ago. So nobody waits for all that another asked for, and
    requests of one owner alone keep their order. Requests in the background come after all others.

    Owners of several names are shared out by their first names, as if all who share it were one
    owner, then among those by their second, and so on: a key with a thousand users gets no more
    than a key with one.
    """

    def __init__(self) -> None:
        self._by_owner: dict[tuple[str, ...], deque[Request]] = {}
        self._last_turn: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._n_turns = 0
        self._n_requests = 0

    def __len__(self) -> int:
        return self._n_requests  # other threads ask, too: nothing may be iterated over

    def __iter__(self) -> Iterator[Request]:
        for requests in self._by_owner.values():
            yield from requests

    @property
    def foreground(self) -> bool:
        """Whether anybody waits who is not in the background."""
        return any(each[0] == _LIVE for each in self._by_owner)

    def add(self, request: Request) -> None:
        """Behind its owner's others."""
        self._by_owner.setdefault(_names(request), deque()).append(request)
        self._n_requests += 1

    def remove(self, request: Request) -> None:
        """Take out a request that is no longer wanted."""
        owner = _names(request)
        self._by_owner[owner].remove(request)
        self._forget(owner)

    def next(self, under_way: Iterable[Request]) -> Request:
        """Take out the request whose turn it is; there is one."""
        running = [_names(request) for request in under_way]
        foremost = min(each[0] for each in self._by_owner)
        owners = [each for each in self._by_owner if each[0] == foremost]
        depth = 1
        while len(owners) > 1:
            depth += 1
            n_under_way = Counter(each[:depth] for each in running)
            group = min(
                (each[:depth] for each in owners),
                key=lambda names: (n_under_way[names], self._last_turn.get(names, 0)),
            )
            owners = [each for each in owners if each[:depth] == group]
        owner = owners[0]
        request = self._by_owner[owner].popleft()
        self._note_turn(owner)
        self._forget(owner)
        return request

    def _note_turn(self, owner: tuple[str, ...]) -> None:
        self._n_turns += 1
        for depth in range(1, len(owner) + 1):
            self._last_turn[owner[:depth]] = self._n_turns
            self._last_turn.move_to_end(owner[:depth])
        while len(self._last_turn) > MOST_REMEMBERED:
            self._last_turn.popitem(last=False)

    def _forget(self, owner: tuple[str, ...]) -> None:
        """One request of an owner is gone; keep nothing of who waits for nothing."""
        self._n_requests -= 1
        if not self._by_owner[owner]:
            del self._by_owner[owner]
        if not self._by_owner:
            self._last_turn.clear()


def _names(request: Request) -> tuple[str, ...]:
    """Whose it is, behind a mark of those in the background."""
    owner = request.owner
    names = (owner,) if isinstance(owner, str) else owner
    return (_BACKGROUND if request.background else _LIVE, *names)
