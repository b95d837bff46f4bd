"""How far a long task is and how long it will take, on stderr: a bar, or a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from aboard.cli.output import note
from aboard.progress import Progress

_EVERY_S = 10.0
"""Between lines, where no terminal shows a bar."""


@contextlib.contextmanager
def told_on_stderr() -> Iterator[Progress]:
    """The progress to give to what works in stages."""
    if sys.stderr.isatty():
        with _bar() as told:
            yield told
    else:
        yield lines()


def lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A line when a stage begins, then one every ten seconds with the time left."""
    began: dict[str, tuple[float, int]] = {}
    last = clock()

    def told(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if stage not in began:
            began[stage] = (now, done)
            last = now
            note(f"{stage}: {total:,} {_unit(stage)}")
            return
        if now - last < _EVERY_S or done >= total:
            return
        last = now
        since, first = began[stage]
        left = (total - done) * (now - since) / max(done - first, 1)
        note(f"{stage}: {done:,} of {total:,} {_unit(stage)}, {duration(left)} left")

    return told


def duration(seconds: float) -> str:
    """`1 h 5 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


_UNITS = {
    "text": "tokens",
    "ladder": "tokens",
    "import": "bytes",
    "write": "tokens",
    "measure": "layers",
    "quantize": "weights",
    "compare": "layers",
}


def _unit(stage: str) -> str:
    return _UNITS.get(stage.rpartition(": ")[2], "questions")


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    text = TextColumn("{task.description}", markup=False)
    shape = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*shape, console=Console(stderr=True)) as bars:
        stages: dict[str, TaskID] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done)

        yield told
