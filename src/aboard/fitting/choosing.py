"""Formats of all parts within a budget, by what they were measured to cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aboard.fitting.sizes import OWN, Sizes, assignment_of
from aboard.progress import Progress
from aboard.quantize.allocation import Allocation, Frontier, Option
from aboard.quantize.format_losses import Sensitivity
from aboard.quantize.parts import Part
from aboard.quantize.sensitivity import Measuring, anchors_of

_GUARD_ROUNDS = 3
_DOMINATES = 3.0  # times the mean loss of a part
_MOST_GUARDED = 24  # parts that are measured again in a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes
    ----------
    assignment : dict of str to str
        Formats of the tensors that are rounded.
    found : list of Sensitivity
        What was measured.
    options : list of Option
        The chosen one of each.
    floor : float
        What any change at all costs.
    """

    assignment: dict[str, str]
    found: list[Sensitivity]
    options: list[Option]
    floor: float

    @property
    def loss_of_parts(self) -> float:
        """What all parts cost by themselves, summed up."""
        return sum(option.loss for option in self.options)

    @property
    def loss(self) -> float:
        """The same, and the floor where anything is changed."""
        return self.loss_of_parts + (self.floor if self.assignment else 0.0)


class Choosing:
    """The parts of a checkpoint and what they cost; measured once, chosen from for any budget.

    Parameters
    ----------
    sizes : Sizes
        The parts, and what they take in the formats they may have.
    measuring : Measuring
        Tells what formats cost.
    progress : callable
        As for `Measuring.measure`.
    """

    def __init__(self, sizes: Sizes, measuring: Measuring, progress: Progress) -> None:
        self._sizes, self._measuring, self._progress = sizes, measuring, progress
        wanted = {part: self._anchors(part) for part in sizes.parts}
        self._found = {each.part: each for each in measuring.measure(wanted, progress)}

    @property
    def floor(self) -> float:
        """What any change at all costs, in nats a token."""
        return self._measuring.floor

    def within_bytes(self, limit: int) -> Choice:
        """The formats that cost least of at most so many bytes, which the smallest ones fit."""
        return self._chosen(
            lambda frontier: frontier.within_bytes(self._sizes.left_for_parts(limit))
        )

    def within_loss(self, limit: float) -> Choice:
        """The formats of the fewest bytes whose costs by themselves sum up to at most `limit`."""
        return self._chosen(lambda frontier: frontier.within_loss(limit))

    def _chosen(self, within: Callable[[Frontier], Allocation | None]) -> Choice:
        chosen = self._best(within)
        for _ in range(_GUARD_ROUNDS):
            doubtful = self._dominating(chosen)
            if not doubtful:
                break
            measured = self._measuring.measure(self._all_measured(doubtful), self._progress)
            self._found |= {each.part: each for each in measured}
            chosen = self._best(within)
        formats = [option.format for option in chosen.chosen]
        return Choice(
            assignment=assignment_of(dict(zip(self._found, formats, strict=True))),
            found=list(self._found.values()),
            options=list(chosen.chosen),
            floor=self.floor,
        )

    def _best(self, within: Callable[[Frontier], Allocation | None]) -> Allocation:
        found = within(Frontier([self._options(each) for each in self._found.values()]))
        assert found is not None, "the smallest formats fit, and their own lose nothing"
        return found

    def _anchors(self, part: Part) -> list[str]:
        smaller = self._sizes.formats(part)[1:]
        return [name for name in anchors_of(part) if name in smaller] or smaller[:1]

    def _options(self, found: Sensitivity) -> list[Option]:
        return [
            Option(form, self._sizes.of_part(found.part, form), loss)
            for form in self._sizes.formats(found.part)
            for loss in (0.0 if form == OWN else found.loss(form),)
        ]

    def _dominating(self, chosen: Allocation) -> dict[Part, str]:
        """Parts of more than their share of the loss, whose loss was only estimated."""
        mean = chosen.loss / len(chosen.chosen)
        doubtful = [
            (option.loss, each.part, option.format)
            for each, option in zip(self._found.values(), chosen.chosen, strict=True)
            if option.loss > _DOMINATES * mean and option.format not in each.measured
        ]
        doubtful.sort(key=lambda one: -one[0])
        return {part: form for _, part, form in doubtful[:_MOST_GUARDED]}

    def _all_measured(self, doubtful: Mapping[Part, str]) -> dict[Part, list[str]]:
        return {part: [*self._found[part].measured, form] for part, form in doubtful.items()}
