"""`aboard ladder`: every size of a model and what it costs, in one run and on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.card import Card


def ladder(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A GGUF file, a Hugging Face folder, or a name of the catalogue that was pulled.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Where the card and figures go."),
    ] = Path("ladder"),
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="With commas: bits a weight, sizes of files, formats: 4.5,6,90MB,q4_0.",
            show_default="3.5 to 8.5 bits, and some formats beside them",
        ),
    ] = None,
    fit: options.FitDevice = None,
    context: options.UserContext = None,
    users: options.Users = 1,
    kv: options.FitKv = "f16",
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A text in UTF-8 to compare on; may be repeated.",
            show_default="a small one of our own",
        ),
    ] = None,
    calibration: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A text in UTF-8 to make the sizes on, another one; may be repeated.",
            show_default="a small one of our own",
        ),
    ] = None,
    tokens: options.CalibrationTokens = 32768,
    self_written: options.SelfWritten = None,
    window: options.Window = None,
    sequences: options.Sequences = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the files of all sizes in FOLDER.")
    ] = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Make MODEL in several sizes and show what each one costs; the last line is the card's path.

    Each size is compared with MODEL on a text. FOLDER gets card.html, one page with plots, and
    card.json; the files themselves go, unless --keep is given. A run that was stopped goes on.
    """
    from aboard.card.climb import Climb
    from aboard.card.ladder import ladder as climbed
    from aboard.cli.eval_progress import told_on_stderr
    from aboard.cli.output import json_result, note, result
    from aboard.store import resolve_checkpoint

    source = resolve_checkpoint(model)
    climb = Climb(
        source=source,
        folder=out,
        text=tuple(text or ()),
        calibration=tuple(calibration or ()),
        n_tokens=tokens,
        self_written=self_written,
        sequences=sequences,
        window=window,
        threads=threads,
        room=options.room(source, fit, context, users, kv),
        keep=keep,
    )
    with told_on_stderr() as progress:
        found = climbed(
            climb, sizes, announce=lambda line: note(f"aboard: {line}"), progress=progress
        )
    for each in found.notes:
        note(f"aboard: {each}")
    if as_json:
        json_result(found.as_dict())
        return
    _show(found)
    result(str(out / "card.html"))


def _show(found: Card) -> None:
    from aboard.amounts import megabytes
    from aboard.cli.output import columns

    head = ("size", "file", "bits", "KL divergence", "same", "perplexity", "verdict")
    rows = [
        (
            each.name,
            megabytes(each.size_bytes),
            f"{each.bits_per_weight:.2f}",
            f"{each.kl_mean:.5f}",
            f"{each.same_top_fraction:.2%}",
            f"{each.ppl_ratio - 1:+.2%}",
            each.verdict,
        )
        for each in sorted(found.ladder, key=lambda each: each.size_bytes)
    ]
    columns([head, *rows])
