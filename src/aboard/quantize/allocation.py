"""Which format each part of a model gets: the least loss in so many bytes, or the fewest bytes.

Every part has a few options, each of so many bytes and so much loss; losses add up. The sums that
no others beat are built up part by part. While there are few of them, the answer is exact; of very
many only some are kept, evenly over the bytes, each of which is a sum that can be had. Options off
the convex hull are in it, too, so nothing is left to fill at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_SUMS = 1 << 13
"""Sums that are kept: with twice as many, losses of 150 parts differ by less than 0.01 %."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Option:
    """A format that a part may have: its bytes in the file, and what is lost by it."""

    format: str
    size_bytes: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One option of each part, in their order, and the sums."""

    chosen: tuple[Option, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts together."""
        return sum(option.size_bytes for option in self.chosen)

    @property
    def loss(self) -> float:
        """The loss of all parts together."""
        return float(sum(option.loss for option in self.chosen))


class Frontier:
    """All allocations that aren't beaten in both bytes and loss.

    Parameters
    ----------
    parts : sequence of sequences of Option
        At least one option for each part; losses are finite and not negative.
    most : int
        How many sums are kept.
    """

    def __init__(self, parts: Sequence[Sequence[Option]], most: int = MOST_SUMS) -> None:
        self._parts = [_unbeaten(options) for options in parts]
        self._steps: list[tuple[Integers, Integers]] = []  # of a sum: the one before, the option
        sizes, losses = np.zeros(1, np.int64), np.zeros(1)
        for options in self._parts:
            added = np.array([option.size_bytes for option in options], np.int64)
            lost = np.array([option.loss for option in options])
            all_sizes = (sizes[:, None] + added).reshape(-1)
            all_losses = (losses[:, None] + lost).reshape(-1)
            kept = _thinned(_frontier(all_sizes, all_losses), all_sizes, most)
            self._steps.append((kept // len(options), kept % len(options)))
            sizes, losses = all_sizes[kept], all_losses[kept]
        self._sizes, self._losses = sizes, losses

    @property
    def smallest_bytes(self) -> int:
        """The fewest bytes that the parts can have."""
        return int(self._sizes[0])

    @property
    def largest_bytes(self) -> int:
        """The bytes with the least loss: more are of no use."""
        return int(self._sizes[-1])

    def within_bytes(self, budget_bytes: int) -> Allocation | None:
        """The allocation of the least loss of at most so many bytes; None where none is."""
        place = int(np.searchsorted(self._sizes, budget_bytes, side="right")) - 1
        return None if place < 0 else self._allocation(place)

    def within_loss(self, budget: float) -> Allocation | None:
        """The allocation of the fewest bytes that loses at most so much; None where none does."""
        # Losses fall along the frontier.
        place = int(np.searchsorted(-self._losses, -budget, side="left"))
        return None if place == self._losses.size else self._allocation(place)

    def _allocation(self, place: int) -> Allocation:
        chosen: list[Option] = []
        for options, (before, taken) in zip(self._parts[::-1], self._steps[::-1], strict=True):
            chosen.append(options[int(taken[place])])
            place = int(before[place])
        return Allocation(chosen=tuple(chosen[::-1]))


def _unbeaten(options: Sequence[Option]) -> list[Option]:
    """The options that no other one of as few bytes and as little loss beats, by bytes."""
    return list(_falling(sorted(options, key=lambda option: (option.size_bytes, option.loss))))


def _falling(options: Sequence[Option]) -> Iterator[Option]:
    least = np.inf
    for option in options:
        if option.loss < least:
            least = option.loss
            yield option


def _frontier(sizes: Integers, losses: Floats) -> Integers:
    """The places of the sums that none beats, by rising size and falling loss."""
    order = np.lexsort((losses, sizes))
    lowest = np.minimum.accumulate(losses[order])
    falls = np.empty(order.size, np.bool_)
    falls[0] = True
    falls[1:] = lowest[1:] < lowest[:-1]
    return order[falls].astype(np.int64)


def _thinned(places: Integers, sizes: Integers, most: int) -> Integers:
    """At most `most` of `places`: the first, and the least loss of each stretch of bytes."""
    if places.size <= most:
        return places
    found = sizes[places]
    stretch = (found - found[0]) * (most - 1) // (found[-1] - found[0] + 1)
    last = np.append(np.flatnonzero(np.diff(stretch)), places.size - 1)
    if last[0] != 0:
        last = np.insert(last, 0, 0)
    thinned: Integers = places[last]
    return thinned
