"""The whole curve of size and quality in one run: each size made, evaluated, and told of.

A rung that is finished is a JSON file in the folder; the same call once more takes it from there
and goes on with the others. A file that was made but not evaluated yet is taken as it is, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aboard.artifact.importing import import_checkpoint, survey
from aboard.card.climb import Climb, source_key
from aboard.card.climbing import Climbing, Found
from aboard.card.contents import Card
from aboard.card.described import describe_file
from aboard.card.making import sensitivities_of, write_json, write_page
from aboard.card.rungs import Wanted, fitting_wanted, parse_rungs, usual_rungs
from aboard.errors import ArtifactError, UsageError
from aboard.evaluate.passages import too_little
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
    climbing = Climbing(climb, reference, len(wanted), announce, progress)
    for each in wanted:
        climbing.step(each)
    found = climbing.finish()
    return _finished(climb, sizes, reference, found)


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


def _finished(climb: Climb, sizes: str | None, reference: Path, found: Found) -> Card:
    if not found.rungs:
        raise found.refused[0][1]
    card = Card(
        model=describe_file(reference),
        ladder=tuple(found.rungs),
        sensitivities=sensitivities_of(found.parts),
        commands=(climb.command(sizes), *(each.command for each in found.rungs)),
        hashes=found.hashes,
        notes=_notes(found, climb),
    )
    write_json(card, climb.folder / "card.json")
    write_page(card, climb.folder / "card.html")
    if reference != climb.source and not climb.keep:
        reference.unlink()
    return card


def _notes(found: Found, climb: Climb) -> tuple[str, ...]:
    notes = [f"{each.name}: {each.note}" for each in found.rungs if each.note]
    notes += [f"{name} can't be made: {error}" for name, error in found.refused]
    if not climb.text:
        notes.insert(0, too_little(found.rungs[0].n_tokens))
    elif any(each.kl_ci95 is None for each in found.rungs):
        notes.insert(0, "the text is too short for intervals")
    return tuple(notes)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: can't be made: {error.strerror or error}",
            hint="Name a folder in which you may write: -o FOLDER.",
        ) from None
