"""The sizes of a ladder one after the other: made, a few of them evaluated together, kept.

The reference is the slowest of all, for it has the most bits: it is computed once for as many sizes
as memory holds. Of a size that is finished there is a file of figures, and no other file; beside
one that is made and not evaluated yet lies what was told of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aboard.card.climb import Climb
from aboard.card.contents import Rung
from aboard.card.described import describe_file, weights_by_format
from aboard.card.making import hashes_of, write_text
from aboard.card.rungs import Made, Wanted, command_of, make
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
    rungs : list of Rung
        Those that are finished, in the order in which they were asked for.
    refused : list of (str, UsageError)
        Those that can't be made, and why.
    hashes : mapping of str to str
        Of what decides the figures, all sizes having the same; see `hashes_of`.
    parts : tuple of FittedPart
        What was measured of the parts.
    """

    rungs: list[Rung] = field(default_factory=list)
    refused: list[tuple[str, UsageError]] = field(default_factory=list)
    hashes: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[FittedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A file that is made, and not evaluated yet."""

    index: int
    wanted: Wanted
    file: Path
    made: Made


@dataclass(frozen=True, slots=True)
class _Finished:
    """A size that is finished, as it is kept."""

    rung: Rung
    made: Made
    hashes: Mapping[str, str]


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
        self._key = climb.key(self._making_key)
        self._refused: list[tuple[str, UsageError]] = []
        self._finished: dict[int, _Finished] = {}
        self._waiting: list[_Waiting] = []
        self._index = 0

    def step(self, wanted: Wanted) -> None:
        """The next size: known, or made and evaluated with others."""
        index, self._index = self._index, self._index + 1
        known = _known(self._kept(wanted), self._key)
        if known is not None and (not self._climb.keep or self._climb.file(wanted.slug).is_file()):
            self._announce(_line(known.rung))
            self._finished[index] = known
            return
        self._announce(f"{wanted.name}, {index + 1} of {self._n_wanted}")
        try:
            file, made = self._file_made(wanted)
        except UsageError as error:  # too few bytes for any file: others may do
            self._refused.append((wanted.name, error))
            self._announce(f"{wanted.name}: {error}")
            return
        sizes = [each.file.stat().st_size for each in self._waiting]
        sizes += [file.stat().st_size, self._reference.stat().st_size]
        if (
            len(sizes) > _MOST_TOGETHER + 1
            or sum(sizes) + len(sizes) * _BLOCK_BYTES > _free_bytes()
        ):
            self._evaluate()
        self._waiting.append(_Waiting(index, wanted, file, made))

    def finish(self) -> Found:
        """Evaluate what is left; all that was found."""
        self._evaluate()
        finished = [self._finished[index] for index in sorted(self._finished)]
        return Found(
            rungs=[each.rung for each in finished],
            refused=self._refused,
            hashes=finished[-1].hashes if finished else {},
            parts=next((each.made.parts for each in reversed(finished) if each.made.parts), ()),
        )

    def _file_made(self, wanted: Wanted) -> tuple[Path, Made]:
        """The file of one size, and what is told of it."""
        climb, key = self._climb, self._making_key[:12]
        # under a name that has all that decides it: what is there was made of the same source
        file = climb.folder / f".{wanted.slug}.{key}.gguf"
        if file.is_file() and (before := _read_made(file)) is not None:
            return file, before
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
        write_text(_made_of(file), json.dumps(asdict(made)))
        return file, made

    def _evaluate(self) -> None:
        """Evaluate the files that wait, and keep or remove them."""
        if not self._waiting:
            return
        climb, group, before = self._climb, self._waiting, len(self._finished)

        def told(stage: str, done: int, total: int) -> None:
            n = self._n_wanted - len(self._refused)
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
            finished = _Finished(
                _rung(each.wanted, evaluation, command, each.made.notes),
                each.made,
                _shared_hashes(evaluation),
            )
            kept = {"key": self._key} | asdict(finished)
            write_text(self._kept(each.wanted), json.dumps(kept))
            self._finished[each.index] = finished
            if climb.keep:
                each.file.replace(climb.file(each.wanted.slug))
            else:
                each.file.unlink()
            _made_of(each.file).unlink(missing_ok=True)
        for each in group:
            self._announce(_line(self._finished[each.index].rung))
        self._waiting = []

    def _kept(self, wanted: Wanted) -> Path:
        """Where the figures of a size are."""
        return self._climb.folder / f"{wanted.slug}.json"


def _free_bytes() -> float:
    """That models may take together."""
    found = memory()
    free_bytes = _MEMORY_UNKNOWN if found is None else found.available_bytes
    return _MEMORY_SHARE * min(free_bytes, memory_limit() or free_bytes)


def _made_of(file: Path) -> Path:
    """Where lies what was told of a file that is made."""
    return file.with_suffix(".made")


def _read_made(file: Path) -> Made | None:
    """What was told of it; None where a kill came before it was written."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return Made.of(json.loads(_made_of(file).read_text("utf-8")))
    return None


def _shared_hashes(evaluation: Evaluation) -> dict[str, str]:
    """Of what decides the figures, as far as all sizes have it in common."""
    hashes = hashes_of(evaluation)
    hashes.pop("Weights")
    return {"Source's weights": hashes.pop("Reference's weights")} | hashes


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


def _known(path: Path, key: str) -> _Finished | None:
    """What an earlier run found of a size; None where it didn't, or of something else."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if told["key"] == key:
            figures = dict(told["rung"])
            for name in ("ppl_ratio_ci95", "kl_ci95", "same_top_ci95"):
                figures[name] = None if figures[name] is None else tuple(figures[name])
            return _Finished(Rung(**figures), Made.of(told["made"]), told["hashes"])
    return None
