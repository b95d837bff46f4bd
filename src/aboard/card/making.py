"""Cards of what was evaluated or quantised, and where they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aboard.card.contents import Card, Sensitivity
from aboard.card.described import describe_file
from aboard.card.page import page
from aboard.errors import ArtifactError
from aboard.evaluate import Evaluation
from aboard.fitting import FittedPart, QuantizedCheckpoint
from aboard.formats import bits_of
from aboard.json_writing import json_of
from aboard.publishing import written_beside
from aboard.quantize.sensitivity import ANCHOR_BITS


def card_of(
    evaluation: Evaluation,
    *,
    sensitivities: Sequence[Sensitivity] = (),
    commands: Sequence[str] = (),
    hashes: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Card:
    """The card of a model that was evaluated.

    Parameters
    ----------
    evaluation : Evaluation
        What was found; the headers of its files are read.
    sensitivities : sequence of Sensitivity
        What rounding the parts of the model costs, if that is known.
    commands : sequence of str
        What made the model's file, before the command that evaluated it.
    hashes : mapping of str to str, optional
        More of them, by what they are of: the calibration text, say.
    notes : sequence of str
        What a reader should know, before the evaluation's own notes.

    Raises
    ------
    CheckpointError
        A file can't be read any more.
    """
    model = describe_file(evaluation.model.path)
    other = evaluation.reference
    return Card(
        model=model,
        reference=None if other is None else describe_file(other.path),
        evaluation=evaluation,
        sensitivities=tuple(sensitivities),
        commands=(*commands, evaluation.command),
        hashes=hashes_of(evaluation) | dict(hashes or {}),
        notes=(*notes, *evaluation.notes),
    )


def card_of_quantized(
    made: QuantizedCheckpoint,
    command: str,
    evaluation: Evaluation | None = None,
) -> Card:
    """The card of a file that was quantised; the headers of the file and of its source are read.

    Parameters
    ----------
    made : QuantizedCheckpoint
        What `aboard.fitting.quantize_checkpoint` gave.
    command : str
        What makes the file again.
    evaluation : Evaluation, optional
        What was found of it on a text or on tasks.

    Raises
    ------
    CheckpointError
        A file can't be read any more.
    """
    hashes = {
        "File": made.sha256,
        "Source": made.source_sha256,
        "Calibration": made.calibration_sha256,
    }
    sensitivities = sensitivities_of(made.parts)
    if evaluation is not None:
        card = card_of(
            evaluation,
            sensitivities=sensitivities,
            commands=[command],
            hashes=hashes,
            notes=made.notes,
        )
        return replace(card, fitted=made)
    from_file = made.source.lower().endswith(".gguf")
    return Card(
        model=describe_file(made.path),
        reference=describe_file(made.source) if from_file else None,
        fitted=made,
        sensitivities=sensitivities,
        commands=(command,),
        hashes=hashes,
        notes=made.notes,
    )


def hashes_of(evaluation: Evaluation) -> dict[str, str]:
    """What decides the figures, by what it is, as the page names it."""
    found = {"Weights": evaluation.model.weights_sha256}
    if evaluation.reference is not None:
        found["Reference's weights"] = evaluation.reference.weights_sha256
    found["Tokenizer"] = evaluation.model.tokenizer_sha256
    if evaluation.text is not None:
        found[f"Text ({evaluation.text.name})"] = evaluation.text.sha256
    for task in evaluation.tasks:
        found[f"Task {task.name}"] = task.sha256
    found["Aboard"] = f"{evaluation.aboard_version}, numerics {evaluation.numerics_version}"
    return found


def sensitivities_of(parts: Sequence[FittedPart]) -> tuple[Sensitivity, ...]:
    """What each part was measured to cost, all at about as many bits, so that they compare.

    Parameters
    ----------
    parts : sequence of FittedPart
        Of `aboard.fitting.QuantizedCheckpoint`.
    """
    found = []
    for part in parts:
        if part.measured:
            form = min(part.measured, key=lambda name: abs(bits_of(name) - ANCHOR_BITS))
            found.append(Sensitivity(tensors=part.tensors, format=form, kl=part.measured[form]))
    return tuple(found)


def write_page(card: Card, path: str | Path) -> None:
    """Write the page of `card` to `path`: whole or not at all.

    Raises
    ------
    ArtifactError
        It can't be written.
    """
    write_text(Path(path), page(card))


def write_json(card: Card, path: str | Path) -> None:
    """Write the data of `card` to `path`, as `Card.as_dict` gives them; see `json_of`.

    Raises
    ------
    ArtifactError
        It can't be written.
    """
    write_text(Path(path), f"{json_of(card.as_dict(), indent=1)}\n")


def write_text(path: Path, text: str) -> None:
    """Write a text to `path`: whole or not at all.

    Raises
    ------
    ArtifactError
        It can't be written.
    """
    try:
        with written_beside(path) as file:
            file.write(text.encode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: can't be written: {getattr(error, 'strerror', None) or error}",
            hint="Name a file in a folder that exists and has room.",
        ) from None
