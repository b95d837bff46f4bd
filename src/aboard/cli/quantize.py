"""`aboard quantize`: a checkpoint becomes a GGUF file within a budget, and what it costs."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aboard.fitting import QuantizedCheckpoint


def quantize(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A Hugging Face folder, a GGUF file, best of F32, F16 or BF16, or a name of the "
            "catalogue that was pulled.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The new GGUF file.")],
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the whole file: 3.9GB (10^9 bytes each), 3.6GiB."),
    ] = None,
    bits: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.1,
            max=32,
            help="Bits a weight, of the whole file over all weights.",
            show_default="4.85, as Q4_K_M has of large models",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="One type for all matrices, q4_k say, or what takes its place where rows don't "
            "allow it; the head keeps six bits.",
        ),
    ] = None,
    loss_budget: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="The smallest file whose KL divergence from CHECKPOINT is at most X nats a token.",
        ),
    ] = None,
    method: Annotated[
        Literal["gptq", "importance"],
        typer.Option(
            help="How weights are rounded: so that later ones make up for earlier ones, or each to "
            "the nearest, on scales for the inputs that matter, in a fraction of the time.",
        ),
    ] = "gptq",
    fit: options.FitDevice = None,
    context: options.UserContext = None,
    users: options.Users = 1,
    kv: options.FitKv = "f16",
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A UTF-8 text to calibrate on, like what the model will read; may be repeated.",
            show_default="a small one of our own",
        ),
    ] = None,
    tokens: options.CalibrationTokens = 32768,
    self_written: options.SelfWritten = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Leave out the parts that see images or hear.")
    ] = False,
    threads: options.Threads = None,
    card: options.CardFile = None,
    as_json: options.Json = False,
) -> None:
    """Make CHECKPOINT fit a budget, as a GGUF file of stock types; the last line is its path.

    What each part of the model costs at fewer bits is measured, and bits go where they count. The
    same command goes on where a run was stopped. FILE appears whole or not at all.
    """
    from aboard.cli.eval_progress import told_on_stderr
    from aboard.cli.output import json_result, note, result
    from aboard.fitting import Budget, quantize_checkpoint
    from aboard.planning import parse_size
    from aboard.quantize.rounding import METHODS
    from aboard.store import resolve_checkpoint

    source = resolve_checkpoint(checkpoint)
    budget = Budget(
        size_bytes=None if size is None else parse_size(size),
        bits=bits,
        format=format,
        loss=loss_budget,
        room=options.room(source, fit, context, users, kv),
    )
    if card is not None:
        from aboard.artifact.replacement import require_writable

        require_writable(card)
    with told_on_stderr() as progress:
        made = quantize_checkpoint(
            source,
            out,
            budget,
            texts=text or (),
            method=METHODS[method],
            n_tokens=tokens,
            self_written=self_written,
            text_only=text_only,
            threads=threads,
            progress=progress,
        )
    command = shlex.join(["aboard", *sys.argv[1:]])
    for each in made.notes:
        note(f"aboard: {each}")
    if card is not None:
        from aboard.card import card_of_quantized, write_page

        write_page(card_of_quantized(made, command), card)
        note(f"aboard: the card is {card}")
    if as_json:
        json_result(made.as_dict() | {"command": command})
        return
    for name, value in _facts(made).items():
        note(f"{name:16}{value}")
    result(made.path)


def _facts(made: QuantizedCheckpoint) -> Mapping[str, str]:
    from aboard.amounts import megabytes

    formats = Counter(tensor.format for tensor in made.tensors)
    told = ", ".join(f"{count} {name}" for name, count in formats.most_common())
    error = made.measured_kl_error
    spread = "" if error is None else f" +- {error:.5f}"
    facts = {
        "size": f"{megabytes(made.size_bytes)}, {made.bits_per_weight:.2f} bits a weight",
        "matrices": told,
        "KL divergence": f"{made.measured_kl:.5f}{spread} nats a token, on {made.n_tokens:,} "
        "tokens held out",
    }
    if made.predicted_kl is not None:
        facts["predicted"] = f"{made.predicted_kl:.5f}, the sum of what the parts cost alone"
    return facts
