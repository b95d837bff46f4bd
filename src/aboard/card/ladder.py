"""The whole curve of size and quality in one run: each size made, evaluated, and told of.

A rung that is finished is a JSON file in the folder; the same call once more takes it from there
and goes on with the others. A file that was made but not evaluated yet is taken as it is, too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aboard.artifact.importing import import_checkpoint, survey
from aboard.card.climb import Climb, source_key
from aboard.card.contents import Card, Rung, Sensitivity
from aboard.card.described import describe_file, weights_by_format
from aboard.card.making import hashes_of, sensitivities_of, write_json, write_page, write_text
from aboard.card.rungs import Wanted, command_of, fitting_wanted, make, parse_rungs, usual_rungs
from aboard.errors import ArtifactError, UsageError
from aboard.evaluate import Evaluation, evaluate
from aboard.evaluate.passages import too_little
from aboard.fitting import FittedPart
from aboard.progress import Progress, silent


def ladder(
    climb: Climb,
    sizes: str | None = None,
    *,
    announce: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Card:
    """Make and evaluate each size of a model against itself; the card is written as well.

    The folder gets `card.html`, `card.json` and a file of figures for each size.

    Parameters
    ----------
    climb : Climb
        The model, and how it is evaluated.
    sizes : str, optional
        See `aboard.card.rungs.parse_rungs`; by default each smaller format that it can have.
    announce : callable
        Called with a line for each size that is begun or done.
    progress : callable
        Called as (stage, done, total): tokens of all sizes together as "ladder".

    Raises
    ------
    UsageError
        No size is smaller than the model, or as for `evaluate`.
    ArtifactError
        The folder can't be written.
    AboardError
        As for `evaluate` and `import_checkpoint`.
    """
    climb.require_other_text()
    wanted = _wanted(climb, sizes)
    _make_folder(climb.folder)
    reference = _reference(climb, progress)
    key = climb.key()
    found = _Found()
    for index, each in enumerate(wanted):
        kept = climb.folder / f"{each.slug}.json"
        rung = _known(kept, key)
        if rung is None or (climb.keep and not climb.file(each.slug).is_file()):
            announce(f"{each.name}, {index + 1} of {len(wanted)}")
            told = _Progress(progress, each.name, index, len(wanted))
            try:
                file, notes = _file_made(climb, each, reference, told, found)
            except UsageError as error:  # too few bytes for any file: others may do
                found.refused.append((each.name, error))
                announce(f"{each.name}: {error}")
                continue
            rung = _climbed(climb, each, reference, file, notes, told, found)
            _keep(kept, key, rung)
        announce(_line(rung))
        found.rungs.append(rung)
    return _finished(climb, sizes, reference, found)


@dataclass(slots=True)
class _Found:
    """What there is so far.

    Attributes
    ----------
    rungs : list of Rung
        Those that are finished.
    refused : list of (str, UsageError)
        Those that can't be made, and why.
    evaluation : Evaluation or None
        The last one of this run.
    parts : tuple of FittedPart
        What was measured of the parts.
    """

    rungs: list[Rung] = field(default_factory=list)
    refused: list[tuple[str, UsageError]] = field(default_factory=list)
    evaluation: Evaluation | None = None
    parts: tuple[FittedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class _Progress:
    """The progress of one size as that of the whole ladder."""

    told: Progress
    name: str
    index: int
    n: int

    def make(self, stage: str, done: int, total: int) -> None:
        """Of making it."""
        self.told(f"{self.name}: {stage}", done, total)

    def evaluate(self, stage: str, done: int, total: int) -> None:
        """Of evaluating it."""
        self.told("ladder", self.index * total + done, self.n * total)


def _wanted(climb: Climb, sizes: str | None) -> list[Wanted]:
    tensors = survey(climb.source).tensors  # before a folder is made for a source that isn't there
    found = usual_rungs(tensors) if sizes is None else parse_rungs(sizes)
    if climb.room is not None:
        found.append(fitting_wanted(climb.room))
    if not found:
        raise UsageError(
            f"{climb.source}: no format is smaller than what it has",
            hint="Give the checkpoint that it was made from, or name formats: --sizes q4_0.",
        )
    return found


def _reference(climb: Climb, progress: Progress) -> Path:
    """The source as a GGUF file, made of a folder where it is one."""
    if climb.source.suffix.lower() == ".gguf":
        return climb.source
    made = climb.folder / f"source-{source_key(climb.source)[:12]}.gguf"
    if not made.is_file():
        import_checkpoint(climb.source, made, threads=climb.threads, progress=progress)
    return made


def _file_made(
    climb: Climb, wanted: Wanted, reference: Path, progress: _Progress, found: _Found
) -> tuple[Path, Sequence[str]]:
    """The file of one size, and what a reader should know of it."""
    # under a name that has all that decides it: what is there was made of the same source
    key = climb.making_key()[:12]
    file = climb.folder / f".{wanted.slug}.{key}.gguf"
    if file.is_file():
        return file, ()
    made = make(
        wanted,
        reference if wanted.way == "fitted" else climb.source,
        file,
        calibration=climb.calibration,
        n_tokens=climb.n_tokens,
        measured=climb.folder / f".{key}.measured",
        threads=climb.threads,
        progress=progress.make,
    )
    found.parts = made.parts or found.parts
    return file, made.notes


def _climbed(
    climb: Climb,
    wanted: Wanted,
    reference: Path,
    file: Path,
    notes: Sequence[str],
    progress: _Progress,
    found: _Found,
) -> Rung:
    """Evaluate the file of one size, and keep or remove it."""
    found.evaluation = evaluate(
        file,
        against=reference,
        text=climb.text,
        sequences=climb.sequences,
        window=climb.window,
        threads=climb.threads,
        progress=progress.evaluate,
    )
    command = command_of(wanted, str(climb.source), climb.calibration, climb.n_tokens)
    rung = _rung(wanted, found.evaluation, command, notes)
    if climb.keep:
        file.replace(climb.file(wanted.slug))
    else:
        file.unlink()
    return rung


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


def _finished(climb: Climb, sizes: str | None, reference: Path, found: _Found) -> Card:
    if not found.rungs:
        raise found.refused[0][1]
    shared = _shared(climb, found)
    card = Card(
        model=describe_file(reference),
        ladder=tuple(found.rungs),
        sensitivities=shared.sensitivities,
        commands=(climb.command(sizes), *(each.command for each in found.rungs)),
        hashes=shared.hashes,
        notes=_notes(found, climb),
    )
    write_json(card, climb.folder / "card.json")
    write_page(card, climb.folder / "card.html")
    if reference != climb.source and not climb.keep:
        reference.unlink()
    return card


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all sizes have in common; kept beside them, for a run that makes none."""

    hashes: dict[str, str]
    sensitivities: tuple[Sensitivity, ...]


def _shared(climb: Climb, found: _Found) -> _Shared:
    kept = climb.folder / f".shared-{climb.key()[:12]}.json"
    before = _read_shared(kept)
    hashes = before.hashes
    if found.evaluation is not None:
        hashes = hashes_of(found.evaluation)
        hashes.pop("Weights")
        hashes = {"Source's weights": hashes.pop("Reference's weights")} | hashes
    now = _Shared(hashes, sensitivities_of(found.parts) or before.sensitivities)
    write_text(kept, json.dumps(asdict(now)))
    return now


def _read_shared(path: Path) -> _Shared:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        told = json.loads(path.read_text("utf-8"))
        hashes = {str(name): str(value) for name, value in told["hashes"].items()}
        parts = [{**each, "tensors": tuple(each["tensors"])} for each in told["sensitivities"]]
        return _Shared(hashes, tuple(Sensitivity(**each) for each in parts))
    return _Shared({}, ())


def _notes(found: _Found, climb: Climb) -> tuple[str, ...]:
    notes = [f"{each.name}: {each.note}" for each in found.rungs if each.note]
    notes += [f"{name} can't be made: {error}" for name, error in found.refused]
    if not climb.text:
        notes.insert(0, too_little(found.rungs[0].n_tokens))
    elif any(each.kl_ci95 is None for each in found.rungs):
        notes.insert(0, "the text is too short for intervals")
    return tuple(notes)


def _line(rung: Rung) -> str:
    return (
        f"{rung.name}: {rung.size_bytes:,} bytes, KL divergence {rung.kl_mean:.5f}, "
        f"{rung.same_top_fraction:.2%} same, {rung.verdict}"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: can't be made: {error.strerror or error}",
            hint="Name a folder in which you may write: -o FOLDER.",
        ) from None


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


def _keep(path: Path, key: str, rung: Rung) -> None:
    write_text(path, json.dumps({"key": key, "rung": asdict(rung)}))
