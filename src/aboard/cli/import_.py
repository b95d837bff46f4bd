"""`aboard import`: someone else's checkpoint becomes a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.artifact.importing import Imported


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A Hugging Face folder (config.json, safetensors, tokenizer), or a GGUF file.",
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="The new GGUF file.")],
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="What matrices are stored in: f32, f16, bf16, q8_0, q6_k, q5_k, q4_k, q3_k, q2_k, "
            "iq4_nl, iq4_xs, q5_1, q5_0, q4_1 or q4_0.",
            show_default="the checkpoint's own",
        ),
    ] = None,
    text_only: Annotated[
        bool,
        typer.Option(
            "--text-only",
            help="Leave out the parts that see images or hear; otherwise such models are refused.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Make a GGUF file of the checkpoint SOURCE; the last line printed is its path.

    Nothing in SOURCE is run, and nothing is imported that would not give the answers that the model
    was made to give: what is unknown or contradictory is refused. FILE appears whole or not at all.
    """
    from aboard.artifact.importing import import_checkpoint
    from aboard.cli.output import json_result, note, result
    from aboard.cli.progress import shown_on_stderr

    with shown_on_stderr(Path(source).name or source) as progress:
        made = import_checkpoint(source, out, type=type, text_only=text_only, progress=progress)
    for each in made.notes:
        note(f"aboard: {each}")
    if as_json:
        json_result(made)
    else:
        note(_summary(made))
        result(made.path)


def _summary(made: Imported) -> str:
    from aboard.amounts import megabytes

    tensors = ", ".join(f"{count} {name}" for name, count in made.tensors_by_format.items())
    terms = made.license or "no licence stated"
    return (
        f"aboard: {made.architecture}, {made.n_parameters:,} parameters, "
        f"{megabytes(made.size_bytes)} ({tensors}), {terms}"
    )
