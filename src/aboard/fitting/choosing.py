"""Formats of all parts within a budget, by what they were measured to cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aboard.errors import UsageError
from aboard.fitting.budget import Budget
from aboard.fitting.checkpoint import OpenCheckpoint, size_of, smaller_formats
from aboard.formats import bits_of
from aboard.progress import Progress
from aboard.quantize.allocation import Allocation, Frontier, Option
from aboard.quantize.format_losses import Sensitivity
from aboard.quantize.parts import Part
from aboard.quantize.sensitivity import Measuring, anchors_of

OWN = "own"
"""Of an option: the tensors stay as they are."""

_GUARD_ROUNDS = 3
_DOMINATES = 3.0  # times the mean loss of a part
_LEAST_LEFT = 0.05  # of a budget of loss, for the parts, where the floor takes it all
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
    smallest_bytes : int
        Of the smallest file there is.
    floor : float
        What any change at all costs.
    """

    assignment: dict[str, str]
    found: list[Sensitivity]
    options: list[Option]
    smallest_bytes: int
    floor: float

    @property
    def loss(self) -> float:
        """What all parts cost by themselves, summed up, and the floor where anything is changed."""
        own = sum(option.loss for option in self.options)
        return own + (self.floor if self.assignment else 0.0)


class Choosing:
    """The parts of a checkpoint and what they cost; measured once, chosen from for any budget.

    Parameters
    ----------
    checkpoint : OpenCheckpoint
        What is fitted.
    parts : sequence of Part
        Its parts.
    measuring : Measuring
        Tells what formats cost.
    fixed_bytes : int
        Of the file beside the parts.
    """

    def __init__(
        self,
        checkpoint: OpenCheckpoint,
        parts: Sequence[Part],
        measuring: Measuring,
        fixed_bytes: int,
        progress: Progress,
    ) -> None:
        self._tensors = {tensor.name: tensor for tensor in checkpoint.tensors}
        self._own = {name: checkpoint.weights.format(name) for name in self._tensors}
        self._fixed_bytes, self._measuring, self._progress = fixed_bytes, measuring, progress
        wanted = {part: self._anchors(part) for part in parts}
        self._found = {each.part: each for each in measuring.measure(wanted, progress)}

    def choose(self, budget_bytes: int | None, budget: Budget) -> Choice:
        """The best formats for `budget`, `budget_bytes` being what it says of the file.

        Raises
        ------
        UsageError
            Nothing fits.
        """
        for rounds_left in reversed(range(_GUARD_ROUNDS + 1)):
            frontier = Frontier([self._options(each) for each in self._found.values()])
            chosen = self._within(frontier, budget_bytes, budget)
            doubtful = self._dominating(chosen) if rounds_left else {}
            if not doubtful:
                break
            measured = self._measuring.measure(self._all_measured(doubtful), self._progress)
            self._found |= {each.part: each for each in measured}
        assignment = {
            name: option.format
            for each, option in zip(self._found.values(), chosen.chosen, strict=True)
            for name in each.part.tensors
            if option.format != OWN
        }
        return Choice(
            assignment=assignment,
            found=list(self._found.values()),
            options=list(chosen.chosen),
            smallest_bytes=self._fixed_bytes + frontier.smallest_bytes,
            floor=self._measuring.floor,
        )

    def _within(self, frontier: Frontier, budget_bytes: int | None, budget: Budget) -> Allocation:
        smallest = self._fixed_bytes + frontier.smallest_bytes
        if budget_bytes is None:
            assert budget.loss is not None
            left = budget.loss - self._measuring.floor
            found = frontier.within_loss(max(left, _LEAST_LEFT * budget.loss))
        else:
            if budget.is_usual:
                budget_bytes = max(budget_bytes, smallest)
            found = frontier.within_bytes(budget_bytes - self._fixed_bytes)
        if found is None:
            n_weights = sum(math.prod(tensor.shape) for tensor in self._tensors.values())
            raise UsageError(
                f"no file of {budget_bytes:,} bytes is possible: the smallest has {smallest:,} "
                f"bytes, {8 * smallest / n_weights:.2f} bits a weight",
                hint=f"Ask for --size {-(-smallest // 1000)}kB or more, or take a smaller model.",
            )
        return found

    def _anchors(self, part: Part) -> list[str]:
        smaller = smaller_formats(part.columns, self._own_of(part))
        return [name for name in anchors_of(part) if name in smaller] or smaller[:1]

    def _own_of(self, part: Part) -> str:
        """The smallest of the formats that its tensors have."""
        return min((self._own[name] for name in part.tensors), key=bits_of)

    def _options(self, found: Sensitivity) -> list[Option]:
        part = found.part
        own_bytes = sum(size_of(self._tensors[name], self._own[name]) for name in part.tensors)
        options = [Option(OWN, own_bytes, 0.0)]
        for form in smaller_formats(part.columns, self._own_of(part)):
            size = sum(size_of(self._tensors[name], form) for name in part.tensors)
            options.append(Option(form, size, found.loss(form)))
        return options

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
