"""The sizes of a ladder: how they are asked for, and how the file of one is made."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor
from aboard.artifact.importing import import_checkpoint
from aboard.artifact.types import fitting
from aboard.errors import UsageError
from aboard.fitting import Budget, FittedPart, quantize_checkpoint
from aboard.formats import bits_of
from aboard.planning import Room, parse_size
from aboard.planning.ladder import main_type
from aboard.progress import Progress

MOST_BITS = 32

BITS = (3.5, 4.0, 4.5, 5.0, 5.5, 6.5, 8.5)
FORMATS = ("Q8_0", "Q6_K", "Q4_K", "Q4_0", "Q3_K")
"""Those of a ladder for which nothing was asked, where the source has more and rows allow them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rung that is asked for.

    Attributes
    ----------
    name : str
        What it is called.
    budget : Budget
        Bytes or bits, of a file or in a device, for each part the format that loses least; or one
        format for all matrices.
    """

    name: str
    budget: Budget

    @property
    def way(self) -> str:
        """See `aboard.card.Rung`."""
        return "fitted" if self.budget.format is None else "plain"

    @property
    def slug(self) -> str:
        """Its name as part of a file name; of a device, with the room that it was found to have."""
        room = self.budget.room
        room_mib = "" if room is None else f"-{room.weights_bytes >> 20}mib"
        return re.sub("[^a-z0-9._]+", "-", self.name.lower()) + room_mib


@dataclass(frozen=True, slots=True)
class Made:
    """What is told of the file of a rung, besides the file.

    Attributes
    ----------
    notes : tuple of str
        What a reader should know of it.
    parts : tuple of FittedPart
        What was measured of the parts of the model.
    """

    notes: tuple[str, ...]
    parts: tuple[FittedPart, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Made:
        """It again, of what `dataclasses.asdict` made of it and JSON of that."""
        parts = (
            FittedPart(tensors=tuple(each["tensors"]), measured=dict(each["measured"]))
            for each in told["parts"]
        )
        return cls(tuple(map(str, told["notes"])), tuple(parts))


def parse_rungs(text: str) -> list[Wanted]:
    """The rungs of a list with commas: bits a weight, sizes, formats, as in `4.5,3.9GB,q4_k`.

    Raises
    ------
    UsageError
        One of them is none of these, or stands there twice.
    """
    found = [_parse(each.strip()) for each in text.split(",") if each.strip()]
    if not found:
        raise UsageError("the list of sizes is empty", hint="Write it as in 4.5,5,q4_k.")
    for wanted, n in Counter(each.name for each in found).items():
        if n > 1:
            raise UsageError(f"{wanted} stands {n} times in the list of sizes")
    return found


def _parse(text: str) -> Wanted:
    if text.upper() in formats.encodable():
        return Wanted(text.upper(), Budget(format=text.upper()))
    if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", text) and 0 < float(text) <= MOST_BITS:
        return bits_wanted(float(text))
    if re.match("[0-9.]+ *[kKMGT]?i?[bB]", text):
        return Wanted(text, Budget(size_bytes=parse_size(text)))
    names = ", ".join(each.lower() for each in formats.encodable())
    raise UsageError(
        f"{text[:40]!r} is no size of a ladder",
        hint=f"Write bits a weight (4.5), a size (3.9GB) or a format: {names}.",
    )


def bits_wanted(bits: float) -> Wanted:
    """A rung of so many bits a weight."""
    return Wanted(f"{bits:g} bits", Budget(bits=bits))


def fitting_wanted(room: Room) -> Wanted:
    """The rung that fits a device."""
    return Wanted(f"fits {Path(room.name).name}", Budget(room=room))


def usual_rungs(tensors: Sequence[NewTensor]) -> list[Wanted]:
    """Budgets, and formats beside them, of fewer bits than most weights have."""
    columns: Counter[int] = Counter()
    for each in tensors:
        columns[each.shape[-1]] += math.prod(each.shape) if len(each.shape) > 1 else 0
    most_columns, own = columns.most_common(1)[0][0], main_type(tensors)
    return [
        *(bits_wanted(bits) for bits in BITS if bits < bits_of(own)),
        *(
            Wanted(name, Budget(format=name))
            for name in FORMATS
            if fitting(name, most_columns) == name and bits_of(name) < bits_of(own)
        ),
    ]


def make(
    wanted: Wanted,
    source: Path,
    out: Path,
    *,
    calibration: Sequence[Path],
    n_tokens: int,
    self_written: bool | None,
    measured: Path,
    threads: int | None,
    progress: Progress,
) -> Made:
    """Write the file of a rung.

    Parameters
    ----------
    calibration, n_tokens, self_written
        Texts, how many tokens of them and the built-in ones count, and whether the model writes
        what they lack of these.
    measured : Path
        Where what the parts cost is kept from rung to rung.

    Raises
    ------
    UsageError
        The budget is smaller than the smallest file there can be.
    AboardError
        As for `import_checkpoint` and `quantize_checkpoint`.
    """
    if wanted.budget.format is not None:
        form = wanted.budget.format.lower()
        plain = import_checkpoint(source, out, type=form, threads=threads, progress=progress)
        return Made(plain.notes)
    found = quantize_checkpoint(
        source,
        out,
        wanted.budget,
        texts=calibration,
        n_tokens=n_tokens,
        self_written=self_written,
        threads=threads,
        measured=measured,
        progress=progress,
    )
    return Made(found.notes, found.parts)


def command_of(wanted: Wanted, source: str, calibration_words: Sequence[str] = ()) -> str:
    """What makes the file of a rung again; `calibration_words`: options that say on what."""
    end = ["-o", f"{wanted.slug}.gguf"]
    if wanted.budget.format is not None:
        return shlex.join(
            ["aboard", "import", source, "--type", wanted.budget.format.lower(), *end]
        )
    words = ["aboard", "quantize", source]
    if wanted.budget.bits is not None:
        words += ["--bits", f"{wanted.budget.bits:g}"]
    elif wanted.budget.room is not None:
        words += wanted.budget.room.words
    else:
        words += ["--size", wanted.name]
    return shlex.join([*words, *calibration_words, *end])
