"""The smallest file within a loss: tried, compared with the checkpoint, and tried again.

What the parts cost by themselves foresees the loss of the whole file within a factor of two or so.
How the two go together is learnt from try to try, on a line between their logarithms, until the
smallest file that loses little enough is known to a few per cent of the loss, or of the bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from aboard.artifact.quantized import Quantized
from aboard.evaluate.unfinished import Unfinished
from aboard.fitting.choosing import Choice, Choosing
from aboard.fitting.task import Compared, Task
from aboard.quantize.rounding import Rounding

MOST_TRIES = 6
_NEAR = 0.9  # of the loss that was asked for: more is not worth another try
_AIM = 0.95
_SAME_SIZE = 1.005  # of the bytes
_LEAST_LEFT = 0.05  # of a budget of loss, for the parts, where the floor takes it all
_STEP = 8.0  # by how much the cost of parts changes from try to try, at most
_BETWEEN = (0.1, 0.9)  # of two tries, where the next lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A file that was made.

    Attributes
    ----------
    path : Path
        Where it is, unless it was of no use.
    limit : float
        What its parts were allowed to cost by themselves.
    choice : Choice
        Its formats.
    made : Quantized
        The file.
    compared : Compared
        What it loses.
    """

    path: Path
    limit: float
    choice: Choice
    made: Quantized
    compared: Compared


def smallest_within_loss(task: Task, choosing: Choosing, figures: Unfinished) -> tuple[Tried, int]:
    """The smallest file that was found to lose at most `task.budget.loss`; and how many tries.

    There always is one: that of the types that the checkpoint has loses nothing. The file is left
    at `task.out`, whole; others are removed.

    Parameters
    ----------
    task : Task
        With a budget of loss.
    choosing : Choosing
        Gives formats for what parts may cost.
    figures : Unfinished
        Knows of the tries of a run that was killed, and is told of new ones.
    """
    assert task.budget.loss is not None
    wanted = task.budget.loss
    tries = _Tries(task, figures)
    good: Tried | None = None
    bad: Tried | None = None
    limit: float | None = max(wanted - choosing.floor, _LEAST_LEFT * wanted)
    # the last try is the checkpoint as it is, where nothing else was good
    while limit is not None and tries.n < MOST_TRIES - (good is None):
        choice = choosing.within_loss(limit)
        if any(choice.assignment == each.choice.assignment for each in (good, bad) if each):
            break
        tried = tries.make(choice, limit)
        if tried.compared.mean > wanted:
            tries.remove(bad := tried)
        else:
            tries.remove(good)
            good = tried
        limit = _next(good, bad, wanted)
    if good is None:
        good = tries.make(choosing.within_loss(0.0), 0.0)
    if not good.path.is_file():  # an earlier run had found a smaller one, and was killed
        task.quantize(good.choice.assignment, good.path)
    good.path.replace(task.out)
    return replace(good, made=replace(good.made, path=str(task.out))), tries.n


def _next(good: Tried | None, bad: Tried | None, wanted: float) -> float | None:
    """What the parts of the next try may cost; None where it would gain too little."""
    if good is not None and good.compared.mean >= _NEAR * wanted:
        return None
    if bad is None:
        assert good is not None
        return good.limit * _step(good, wanted)
    # its parts may cost much less than they were allowed to, and would be allowed to again
    too_much = bad.choice.loss_of_parts
    if good is None:
        return too_much * _step(bad, wanted)
    if good.made.size_bytes <= _SAME_SIZE * bad.made.size_bytes:
        return None
    low, high = math.log(max(good.compared.mean, 1e-12)), math.log(bad.compared.mean)
    part = float(np.clip((math.log(_AIM * wanted) - low) / (high - low), *_BETWEEN))
    return math.exp((1 - part) * math.log(good.limit) + part * math.log(too_much))


def _step(tried: Tried, wanted: float) -> float:
    """By how much the parts of the next try may cost more than those of a single one."""
    found = tried.compared.mean
    return float(np.clip(_AIM * wanted / found if found else _STEP, 1 / _STEP, _STEP))


class _Tries:
    """Makes files beside the place of the last one, and knows those of an earlier run."""

    def __init__(self, task: Task, figures: Unfinished) -> None:
        self._task, self._figures, self.n = task, figures, 0

    def make(self, choice: Choice, limit: float) -> Tried:
        """The file of some formats, and what it loses."""
        told = json.dumps([choice.assignment, self._task.method.entries()], sort_keys=True)
        name = hashlib.sha256(told.encode()).hexdigest()[:12]
        path = self._task.out.with_name(f".{self._task.out.name}.{name}.try")
        self.n += 1
        found = self._known(name)
        if found is None:
            stage = f"try {self.n}: " if self.n > 1 else ""
            made = self._task.quantize(choice.assignment, path, stage)
            found = made, self._task.compare(path, stage)
            self._keep(name, *found)
        return Tried(path=path, limit=limit, choice=choice, made=found[0], compared=found[1])

    def remove(self, tried: Tried | None) -> None:
        """Remove a file that is of no use."""
        if tried is not None:
            with suppress(FileNotFoundError):
                tried.path.unlink()

    def _keep(self, name: str, made: Quantized, compared: Compared) -> None:
        told = {
            "made": asdict(made),
            "by_window": compared.by_window.tolist(),
            "n_tokens": compared.n_tokens,
        }
        self._figures.add(f"try {name}", 0, told)

    def _known(self, name: str) -> tuple[Quantized, Compared] | None:
        """What an earlier run found."""
        told = self._figures.known(f"try {name}", 0)
        if told is None:
            return None
        compared = Compared(by_window=np.array(told["by_window"]), n_tokens=told["n_tokens"])
        roundings = tuple(Rounding(**each) for each in told["made"]["roundings"])
        return Quantized(**told["made"] | {"roundings": roundings}), compared
