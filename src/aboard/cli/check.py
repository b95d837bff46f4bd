"""`aboard check`: say whether a model is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.evaluate import Finding, Report


def check(
    model: options.Model,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail, too.")] = False,
    activations: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="What matrices are multiplied with: int8, or float32, which is slow and leaves "
            "only the weights' own rounding in the figures.",
        ),
    ] = "int8",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Say whether MODEL is sound, and if it isn't, what is wrong.

    Every value is read, texts in many scripts go through the tokenizer and back, conversations
    through the chat template, and the model continues a story and reads a page of English. Warnings
    are what is odd but may be meant.
    """
    from aboard.cli.exits import UNSOUND
    from aboard.cli.output import json_result
    from aboard.cli.progress import shown_on_stderr
    from aboard.evaluate import check as examine
    from aboard.store import resolve

    path, told = resolve(model), None if as_json else _tell
    with shown_on_stderr(model, leave=False) as progress:
        report = examine(
            path, threads=threads, activations=activations, told=told, progress=progress
        )
    if as_json:
        json_result(report.as_dict())
    else:
        _sum_up(report)
    if not report.passes(strict=strict):
        raise typer.Exit(UNSOUND)


_NAME_WIDTH = 16


def _tell(found: Finding) -> None:
    from aboard.cli.output import result

    result(f"{found.name:{_NAME_WIDTH}}{found.outcome:6}{found.found}")
    if found.outcome in ("warn", "fail"):
        result(f"{'':{_NAME_WIDTH}}{'':6}expected: {found.expected}")


def _sum_up(report: Report) -> None:
    from aboard.cli.output import result
    from aboard.evaluate import Outcome

    counts = {outcome.value: len(report.named(outcome)) for outcome in Outcome}
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    result(f"{'sound' if report.sound else 'UNSOUND'}: {words}")
