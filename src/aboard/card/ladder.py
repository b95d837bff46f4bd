"""The whole curve of size and quality in one run: each size made, evaluated, and told of.

A rung that is finished is a JSON file in the folder; the same call once more takes it from there
and goes on with the others. A file that was made but not evaluated yet is taken as it is, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aboard.artifact.importing import import_checkpoint, survey
from aboard.card.contents import Card, Rung
from aboard.card.described import describe_file
from aboard.card.making import hashes_of, write_json, write_page, write_text
from aboard.card.rungs import Wanted, command_of, make, parse_rungs, usual_rungs
from aboard.engine.device import numerics_version
from aboard.errors import ArtifactError, UsageError
from aboard.evaluate import Evaluation, evaluate
from aboard.evaluate.text_windows import FileText

_VERSION = 1  # of what is kept of a rung

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What was asked of a ladder.

    Attributes
    ----------
    source : Path
        The GGUF file or checkpoint folder.
    folder : Path
        Where all is written.
    text : tuple of Path
        On which the sizes are compared; empty: the built-in one.
    sequences, window, threads : int or None
        As for `evaluate`.
    keep : bool
        Whether the files of the sizes stay.
    """

    source: Path
    folder: Path
    text: tuple[Path, ...] = ()
    sequences: int | None = None
    window: int | None = None
    threads: int | None = None
    keep: bool = False


def ladder(
    climb: Climb,
    sizes: str | None = None,
    *,
    announce: Callable[[str], None] = lambda line: None,
    progress: Told = lambda stage, done, total: None,
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
    wanted = _wanted(climb, sizes)
    _make_folder(climb.folder)
    reference = _reference(climb, progress)
    key = _key(climb)
    rungs: list[Rung] = []
    evaluated: Evaluation | None = None
    for index, each in enumerate(wanted):
        kept = climb.folder / f"{each.slug}.json"
        rung, told = _known(kept, key), None
        if rung is None or (climb.keep and not _file(climb, each).is_file()):
            announce(f"{each.name}, {index + 1} of {len(wanted)}")
            told = _part(progress, index, len(wanted))
            rung, evaluated = _climbed(climb, each, reference, key, told, progress)
            _keep(kept, key, rung)
        announce(_line(rung))
        rungs.append(rung)
    return _finished(climb, sizes, reference, rungs, evaluated)


def _wanted(climb: Climb, sizes: str | None) -> list[Wanted]:
    if sizes is not None:
        return parse_rungs(sizes)
    found = usual_rungs(survey(climb.source).tensors)
    if not found:
        raise UsageError(
            f"{climb.source}: no format is smaller than what it has",
            hint="Give the checkpoint that it was made from, or name formats: --sizes q4_0.",
        )
    return found


def _reference(climb: Climb, progress: Told) -> Path:
    """The source as a GGUF file, made of a folder where it is one."""
    if climb.source.suffix.lower() == ".gguf":
        return climb.source
    made = climb.folder / f"source-{_source_key(climb.source)[:12]}.gguf"
    if not made.is_file():
        import_checkpoint(climb.source, made, threads=climb.threads, progress=progress)
    return made


def _climbed(
    climb: Climb, wanted: Wanted, reference: Path, key: str, told: Told, progress: Told
) -> tuple[Rung, Evaluation]:
    """Make and evaluate one size."""
    # under a name that has all that decides it: what is there was made of the same source
    file = climb.folder / f".{wanted.slug}.{_source_key(climb.source)[:12]}.gguf"
    notes: Sequence[str] = ()
    if not file.is_file():
        notes = make(wanted, climb.source, file, threads=climb.threads, progress=progress)
    found = evaluate(
        file,
        against=reference,
        text=climb.text,
        sequences=climb.sequences,
        window=climb.window,
        threads=climb.threads,
        progress=told,
    )
    rung = _rung(wanted, found, str(climb.source), notes)
    if climb.keep:
        file.replace(_file(climb, wanted))
    else:
        file.unlink()
    return rung, found


def _rung(wanted: Wanted, found: Evaluation, source: str, notes: Sequence[str]) -> Rung:
    text, model = found.text, describe_file(found.model.path)
    assert text is not None and text.comparison is not None
    it = text.comparison
    return Rung(
        name=wanted.name,
        way="plain",
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
        command=command_of(wanted, source),
        note="; ".join(notes),
    )


def _finished(
    climb: Climb,
    sizes: str | None,
    reference: Path,
    rungs: Sequence[Rung],
    evaluated: Evaluation | None,
) -> Card:
    hashes = _hashes(climb, reference, evaluated)
    card = Card(
        model=describe_file(reference),
        ladder=tuple(rungs),
        commands=(_command(climb, sizes),),
        hashes=hashes,
        notes=_notes(rungs, climb),
    )
    write_json(card, climb.folder / "card.json")
    write_page(card, climb.folder / "card.html")
    if reference != climb.source and not climb.keep:
        reference.unlink()
    return card


def _hashes(climb: Climb, reference: Path, evaluated: Evaluation | None) -> dict[str, str]:
    """What decides all sizes; kept beside the figures, for a run that evaluates nothing."""
    kept = climb.folder / "hashes.json"
    if evaluated is not None:
        found = hashes_of(evaluated)
        found["Weights"] = found.pop("Reference's weights")
        found = {"Source's weights": found.pop("Weights")} | found
        write_text(kept, json.dumps(found))
        return found
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(kept.read_text("utf-8"))
        return {str(name): str(value) for name, value in told.items()}
    return {}


def _notes(rungs: Sequence[Rung], climb: Climb) -> tuple[str, ...]:
    notes = [f"{each.name}: {each.note}" for each in rungs if each.note]
    if not climb.text:
        notes.insert(
            0,
            f"no text was given: the built-in one has {rungs[0].n_tokens:,} tokens, which shows "
            "that all works and is too little to judge a model by",
        )
    elif any(each.kl_ci95 is None for each in rungs):
        notes.insert(0, "the text is too short for intervals")
    return tuple(notes)


def _part(progress: Told, index: int, n: int) -> Told:
    """The progress of one size as that of the whole ladder."""

    def told(stage: str, done: int, total: int) -> None:
        progress("ladder", index * total + done, n * total)

    return told


def _line(rung: Rung) -> str:
    return (
        f"{rung.name}: {rung.size_bytes:,} bytes, KL divergence {rung.kl_mean:.5f}, "
        f"{rung.same_top_fraction:.2%} same, {rung.verdict}"
    )


def _command(climb: Climb, sizes: str | None) -> str:
    words = ["aboard", "ladder", str(climb.source), "-o", str(climb.folder)]
    words += [] if sizes is None else ["--sizes", sizes]
    for path in climb.text:
        words += ["--text", str(path)]
    words += [] if climb.window is None else ["--window", str(climb.window)]
    words += [] if climb.sequences is None else ["--sequences", str(climb.sequences)]
    return shlex.join(words)


def _file(climb: Climb, wanted: Wanted) -> Path:
    return climb.folder / f"{wanted.slug}.gguf"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: can't be made: {error.strerror or error}",
            hint="Name a folder in which you may write: -o FOLDER.",
        ) from None


def _source_key(source: Path) -> str:
    """What changes with the source."""
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    states = [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]
    told = [_VERSION, str(source.resolve()), states]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _key(climb: Climb) -> str:
    """What changes with all that decides the figures."""
    text = FileText(climb.text).sha256() if climb.text else None
    told = [_source_key(climb.source), text, climb.sequences, climb.window, numerics_version()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _known(path: Path, key: str) -> Rung | None:
    """A rung that an earlier run found; None where it didn't, or of something else."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if told["key"] == key:
            rung = Rung(**told["rung"])
            return replace(
                rung,
                **{
                    name: None if value is None else (value[0], value[1])
                    for name in ("ppl_ratio_ci95", "kl_ci95", "same_top_ci95")
                    for value in (getattr(rung, name),)
                },
            )
    return None


def _keep(path: Path, key: str, rung: Rung) -> None:
    write_text(path, json.dumps({"key": key, "rung": asdict(rung)}))
