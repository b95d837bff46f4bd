"""The sizes of a ladder one after the other: made, a few of them evaluated together, kept.

The reference is the slowest of all, for it has the most bits: it is computed once for as many sizes
as memory holds. Of a size that is finished there is a file of figures, and no other file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aboard.card.climb import Climb
from aboard.card.contents import Rung
from aboard.card.described import describe_file, weights_by_format
from aboard.card.making import write_text
from aboard.card.rungs import Wanted, command_of, make
from aboard.errors import UsageError
from aboard.evaluate import Evaluation, evaluate_together
from aboard.fitting import FittedPart
from aboard.planning.machine_memory import memory, memory_limit
from aboard.progress import Progress

_MOST_TOGETHER = 12
_BLOCK_BYTES = 64 << 20  # of logits, for each model
_MEMORY_SHARE = 0.5  # of what is free
_MEMORY_UNKNOWN = 4 << 30


@dataclass(slots=True)
class Found:
    """What there is so far.

    Attributes
    ----------
    key : str
        Of all that decides the figures.
    rungs : list of Rung
        Those that are finished, in the order in which they were asked for.
    refused : list of (str, UsageError)
        Those that can't be made, and why.
    evaluation : Evaluation or None
        The last one of this run.
    parts : tuple of FittedPart
        What was measured of the parts.
    """

    key: str
    rungs: list[Rung] = field(default_factory=list)
    refused: list[tuple[str, UsageError]] = field(default_factory=list)
    evaluation: Evaluation | None = None
    parts: tuple[FittedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A file that is made, and not evaluated yet."""

    index: int
    wanted: Wanted
    file: Path
    notes: Sequence[str]


class Climbing:
    """A ladder under way.

    Parameters
    ----------
    climb : Climb
        What was asked of it.
    reference : Path
        The source as a GGUF file.
    n_wanted : int
        How many sizes there are.
    announce, progress : callable
        As for `aboard.card.ladder.ladder`.
    """

    def __init__(
        self,
        climb: Climb,
        reference: Path,
        n_wanted: int,
        announce: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._climb, self._reference, self._n_wanted = climb, reference, n_wanted
        self._announce, self._progress = announce, progress
        self._making_key = climb.making_key()
        self._found = Found(key=climb.key(self._making_key))
        self._rungs: dict[int, Rung] = {}
        self._waiting: list[_Waiting] = []
        self._index = 0

    def step(self, wanted: Wanted) -> None:
        """The next size: known, or made and evaluated with others."""
        index, self._index = self._index, self._index + 1
        rung = _known(self._kept(wanted), self._found.key)
        if rung is not None and (not self._climb.keep or self._climb.file(wanted.slug).is_file()):
            self._announce(_line(rung))
            self._rungs[index] = rung
            return
        self._announce(f"{wanted.name}, {index + 1} of {self._n_wanted}")
        try:
            file, notes = self._file_made(wanted)
        except UsageError as error:  # too few bytes for any file: others may do
            self._found.refused.append((wanted.name, error))
            self._announce(f"{wanted.name}: {error}")
            return
        sizes = [each.file.stat().st_size for each in self._waiting]
        sizes += [file.stat().st_size, self._reference.stat().st_size]
        if len(sizes) > _MOST_TOGETHER + 1 or sum(sizes) + len(sizes) * _BLOCK_BYTES > _room():
            self._evaluate()
        self._waiting.append(_Waiting(index, wanted, file, notes))

    def finish(self) -> Found:
        """Evaluate what is left; all that was found."""
        self._evaluate()
        self._found.rungs = [self._rungs[index] for index in sorted(self._rungs)]
        return self._found

    def _file_made(self, wanted: Wanted) -> tuple[Path, Sequence[str]]:
        """The file of one size, and what a reader should know of it."""
        climb, key = self._climb, self._making_key[:12]
        # under a name that has all that decides it: what is there was made of the same source
        file = climb.folder / f".{wanted.slug}.{key}.gguf"
        if file.is_file():
            return file, _read_notes(file)
        made = make(
            wanted,
            self._reference if wanted.way == "fitted" else climb.source,
            file,
            calibration=climb.calibration,
            n_tokens=climb.n_tokens,
            self_written=climb.self_written,
            measured=climb.folder / f".{key}.measured",
            threads=climb.threads,
            progress=lambda stage, *at: self._progress(f"{wanted.name}: {stage}", *at),
        )
        self._found.parts = made.parts or self._found.parts
        if made.notes:
            write_text(_notes_of(file), json.dumps(made.notes))
        return file, made.notes

    def _evaluate(self) -> None:
        """Evaluate the files that wait, and keep or remove them."""
        if not self._waiting:
            return
        climb, group, before = self._climb, self._waiting, len(self._rungs)

        def told(stage: str, done: int, total: int) -> None:
            n = self._n_wanted - len(self._found.refused)
            self._progress("ladder", before * total + len(group) * done, n * total)

        evaluations = evaluate_together(
            [each.file for each in group],
            against=self._reference,
            text=climb.text,
            sequences=climb.sequences,
            window=climb.window,
            threads=climb.threads,
            progress=told,
        )
        for each, evaluation in zip(group, evaluations, strict=True):
            words = climb.calibration_words("--text")
            command = command_of(each.wanted, str(climb.source), words)
            rung = _rung(each.wanted, evaluation, command, each.notes)
            write_text(
                self._kept(each.wanted),
                json.dumps({"key": self._found.key, "rung": asdict(rung)}),
            )
            self._rungs[each.index] = rung
            if climb.keep:
                each.file.replace(climb.file(each.wanted.slug))
            else:
                each.file.unlink()
            _notes_of(each.file).unlink(missing_ok=True)
        for each in group:
            self._announce(_line(self._rungs[each.index]))
        self._found.evaluation = evaluations[-1]
        self._waiting = []

    def _kept(self, wanted: Wanted) -> Path:
        """Where the figures of a size are."""
        return self._climb.folder / f"{wanted.slug}.json"


def _room() -> float:
    """Bytes that models may take together."""
    found = memory()
    free = _MEMORY_UNKNOWN if found is None else found.available_bytes
    return _MEMORY_SHARE * min(free, memory_limit() or free)


def _notes_of(file: Path) -> Path:
    return file.with_suffix(".notes")


def _read_notes(file: Path) -> tuple[str, ...]:
    with contextlib.suppress(OSError, ValueError):
        return tuple(str(each) for each in json.loads(_notes_of(file).read_text("utf-8")))
    return ()


def _rung(wanted: Wanted, found: Evaluation, command: str, notes: Sequence[str]) -> Rung:
    text, model = found.text, describe_file(found.model.path)
    assert text is not None
    assert text.comparison is not None
    it = text.comparison
    return Rung(
        name=wanted.name,
        way=wanted.way,
        size_bytes=model.size_bytes,
        bits_per_weight=model.bits_per_weight,
        weights_sha256=found.model.weights_sha256,
        n_tokens=text.n_tokens,
        perplexity=text.perplexity,
        ppl_ratio=it.ppl_ratio,
        ppl_ratio_ci95=it.ppl_ratio_ci95,
        kl_mean=it.kl_mean,
        kl_ci95=it.kl_ci95,
        same_top_fraction=it.same_top_fraction,
        same_top_ci95=it.same_top_ci95,
        worst_drop=it.worst_drop,
        flips_lost=it.flips_lost,
        flips_gained=it.flips_gained,
        verdict=it.verdict,
        command=command,
        note="; ".join(notes),
        weights_by_format=weights_by_format(model),
    )


def _line(rung: Rung) -> str:
    return (
        f"{rung.name}: {rung.size_bytes:,} bytes, KL divergence {rung.kl_mean:.5f}, "
        f"{rung.same_top_fraction:.2%} same, {rung.verdict}"
    )


def _known(path: Path, key: str) -> Rung | None:
    """A rung that an earlier run found; None where it didn't, or of something else."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if told["key"] == key:
            figures = dict(told["rung"])
            for name in ("ppl_ratio_ci95", "kl_ci95", "same_top_ci95"):
                figures[name] = None if figures[name] is None else tuple(figures[name])
            return Rung(**figures)
    return None
