"""`aboard eval`: say how well a model predicts and answers, alone or against a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aboard.evaluate import Evaluation, TaskScores, TextScores


def eval(
    model: options.Model,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Compare with this model, of the same tokenizer: the one MODEL was made from.",
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A text in UTF-8, read piece by piece; may be repeated.",
            show_default="a small one of our own",
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Questions as JSON lines, or a folder of such files: arc_easy, arc_challenge, "
            "piqa, openbookqa, lambada, or a name and questions of your own; may be repeated.",
        ),
    ] = None,
    window: options.Window = None,
    sequences: options.Sequences = None,
    threads: options.Threads = None,
    kv: options.Kv = "f16",
    reference_activations: Annotated[
        Literal["int8", "float32"],
        typer.Option(help="What the reference computes with; float32 is exact, and slow."),
    ] = "int8",
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where a run that is stopped leaves what it has found; the same command goes on "
            "from there.",
            show_default="in the cache folder",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on where a run was stopped.")
    ] = True,
    card: options.CardFile = None,
    as_json: options.Json = False,
) -> None:
    """Say how well MODEL predicts a text and answers questions, and what it lost.

    Against a reference: how far the probabilities are apart (KL divergence), how often both find
    the same token likeliest, and whether any difference can be measured at all. All differences
    are paired, with 95 % intervals.
    """
    from aboard.cli.eval_progress import told_on_stderr
    from aboard.cli.output import json_result, note
    from aboard.evaluate import evaluate
    from aboard.store import resolve

    if card is not None:
        from aboard.artifact.replacement import require_writable

        require_writable(card)
    with told_on_stderr() as progress:
        found = evaluate(
            resolve(model),
            against=None if against is None else resolve(against),
            text=text or (),
            tasks=tasks or (),
            window=window,
            sequences=sequences,
            threads=threads,
            kv=kv,
            reference_activations=reference_activations,
            state=state,
            resume=resume,
            progress=progress,
        )
    for each in found.notes:
        note(f"aboard: {each}")
    if card is not None:
        from aboard.card import card_of, write_page

        write_page(card_of(found), card)
        note(f"aboard: the card is {card}")
    if as_json:
        json_result(found.as_dict())
        return
    _show(found)


def _show(found: Evaluation) -> None:
    from aboard.cli.output import facts, result

    if found.text is not None:
        facts(_text_facts(found.text))
    for index, task in enumerate(found.tasks):
        if index or found.text is not None:
            result("")
        facts(_task_facts(task))


def _text_facts(text: TextScores) -> Mapping[str, str]:
    bits = text.bits_per_byte
    facts = {
        "text": f"{text.name}, {text.n_tokens:,} tokens in {text.n_sequences} sequences",
        "perplexity": f"{text.perplexity:.4f}{_interval(text.perplexity_ci95, '.3f')}",
        "bits per byte": "-" if bits is None else f"{bits:.4f}",
    }
    found = text.comparison
    if found is None:
        return facts
    return facts | {
        "perplexity of reference": f"{found.reference_perplexity:.4f}",
        "perplexity ratio": f"{found.ppl_ratio:.5f}{_interval(found.ppl_ratio_ci95, '.5f')}",
        "KL divergence": f"{found.kl_mean:.5f} nats{_interval(found.kl_ci95, '.5f')}, "
        f"1 % of tokens above {found.kl_p99:.3f}",
        "same likeliest token": f"{found.same_top_fraction:.2%}"
        f"{_interval(found.same_top_ci95, '.2%')}",
        "flips": f"{found.flips_lost} right tokens lost, {found.flips_gained} gained",
        "worst 1 % of tokens": f"probability falls by {abs(found.worst_drop):.3f} or more",
        "verdict": found.verdict,
    }


def _task_facts(task: TaskScores) -> Mapping[str, str]:
    facts = {
        "task": f"{task.name}, {task.n_items} questions",
        "accuracy": f"{task.accuracy:.2%}{_interval(task.accuracy_ci95, '.2%')}",
    }
    if task.accuracy_norm is not None:
        interval = _interval(task.accuracy_norm_ci95, ".2%")
        facts["by character"] = f"{task.accuracy_norm:.2%}{interval}"
    if task.perplexity is not None:
        facts["perplexity"] = f"{task.perplexity:.3f}"
    for name, found in (("", task.comparison), (" by character", task.comparison_norm)):
        if found is None:
            continue
        facts[f"difference{name}"] = (
            f"{found.difference:+.2%}{_interval(found.difference_ci95, '+.2%')}, "
            f"{found.lost} lost, {found.gained} gained, p = {found.mcnemar_p:.3f}: {found.verdict}"
        )
    return facts


def _interval(interval: tuple[float, float] | None, form: str) -> str:
    return "" if interval is None else f" ({interval[0]:{form}} to {interval[1]:{form}})"
