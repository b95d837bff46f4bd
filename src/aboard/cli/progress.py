"""Progress of long commands on stderr: a bar on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from aboard.amounts import megabytes
from aboard.cli.output import note
from aboard.progress import Progress

_WORDS = {
    "wait": "waiting for another pull of it to finish",
    "altered": "the file here was altered: it is brought again",
    "download": "downloading",
    "verify": "checking",
    "extract": "writing",
    "import": "converting",
    "examine": "examining the weights",
    "load": "loading",
    "text": "having it write and read",
}


@contextlib.contextmanager
def shown_on_stderr(name: str, *, leave: bool = True) -> Iterator[Progress]:
    """The progress to give to what works on `name`. `leave`: bars stay there at the end."""
    if sys.stderr.isatty():
        with _bar(name, leave) as progress:
            yield progress
    else:
        yield _lines(name)


def _lines(name: str) -> Progress:
    told: set[str] = set()

    def progress(stage: str, done_bytes: int, total_bytes: int) -> None:
        if stage not in told:
            told.add(stage)
            size = f", {megabytes(total_bytes)}" if total_bytes else ""
            note(f"{name}: {_WORDS[stage]}{size}")

    return progress


@contextlib.contextmanager
def _bar(name: str, leave: bool) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    text = TextColumn("{task.description}", markup=False)
    shape = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # Results that come meanwhile stand above the bars where both go to one terminal; elsewhere rich
    # mustn't lead stdout there, too.
    with Bars(
        *shape,
        console=Console(stderr=True),
        transient=not leave,
        redirect_stdout=sys.stdout.isatty(),
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done_bytes: int, total_bytes: int) -> None:
            if stage not in tasks:
                words = f"{name}: {_WORDS[stage]}"
                tasks[stage] = bars.add_task(words, total=total_bytes or None)
            bars.update(tasks[stage], completed=done_bytes)

        yield progress
