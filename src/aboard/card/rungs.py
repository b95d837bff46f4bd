"""The sizes of a ladder: how they are asked for, and how the file of one is made."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.importing import import_checkpoint
from aboard.artifact.types import fitting
from aboard.errors import UsageError
from aboard.progress import Progress

FORMATS = ("Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_1", "Q4_K", "IQ4_NL", "IQ4_XS", "Q3_K", "Q2_K")
"""Those of a ladder for which nothing was asked, where rows allow them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rung that is asked for.

    Attributes
    ----------
    name : str
        What it is called.
    format : str
        The one format of its matrices.
    """

    name: str
    format: str

    @property
    def slug(self) -> str:
        """Its name as part of a file name."""
        return re.sub("[^a-z0-9.]+", "-", self.name.lower())


def parse_rungs(text: str) -> list[Wanted]:
    """The rungs of a list with commas: names of formats.

    Raises
    ------
    UsageError
        One of them is none, or stands there twice.
    """
    found = [_parse(each.strip()) for each in text.split(",") if each.strip()]
    if not found:
        raise UsageError("the list of sizes is empty", hint="Write it as in q8_0,q4_k.")
    for wanted, n in Counter(found).items():
        if n > 1:
            raise UsageError(f"{wanted.name} stands {n} times in the list of sizes")
    return found


def _parse(text: str) -> Wanted:
    if text.upper() in formats.encodable():
        return Wanted(text.upper(), text.upper())
    names = ", ".join(each.lower() for each in formats.encodable())
    raise UsageError(f"{text[:40]!r} is no size of a ladder", hint=f"Formats are {names}.")


def usual_rungs(tensors: Sequence[NewTensor]) -> list[Wanted]:
    """Each format that is smaller than the source's and that most of its weights can have."""
    matrices = [each for each in tensors if len(each.shape) == 2]
    columns: Counter[int] = Counter()
    now: Counter[str] = Counter()
    for each in matrices:
        weights = each.shape[0] * each.shape[1]
        columns[each.shape[-1]] += weights
        now[each.format] += weights
    most_columns, own = columns.most_common(1)[0][0], now.most_common(1)[0][0]
    return [
        Wanted(name, name)
        for name in FORMATS
        if fitting(name, most_columns) == name and _bits(name) < _bits(own)
    ]


def make(
    wanted: Wanted, source: Path, out: Path, *, threads: int | None, progress: Progress
) -> tuple[str, ...]:
    """Write the file of a rung; what a reader should know of it.

    Raises
    ------
    AboardError
        As for `aboard.artifact.importing.import_checkpoint`.
    """
    made = import_checkpoint(
        source, out, type=wanted.format.lower(), threads=threads, progress=progress
    )
    return made.notes


def command_of(wanted: Wanted, source: str) -> str:
    """What makes the file of a rung again."""
    out = f"{wanted.slug}.gguf"
    return shlex.join(["aboard", "import", source, "--type", wanted.format.lower(), "-o", out])


def _bits(name: str) -> float:
    form = formats.by_name(name)
    return form.BLOCK_BYTES / form.BLOCK
