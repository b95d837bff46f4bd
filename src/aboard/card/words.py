"""The words of a card: verdicts, and figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aboard.amounts import megabytes
from aboard.card.contents import Card, Rung
from aboard.evaluate import Comparison, TaskScores, TextScores
from aboard.evaluate.statistics import Interval
from aboard.fitting import QuantizedCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the table.

    Attributes
    ----------
    key : str
        Where it is in the JSON: names and numbers, with points between.
    name, meaning : str
        What it is called, and what it means, in a sentence.
    value : float
        Precisely.
    form : str
        How people read it, a format string.
    interval : (float, float) or None
        At 95 %.
    """

    key: str
    name: str
    meaning: str
    value: float
    form: str = "{:.4f}"
    interval: Interval | None = None

    @property
    def text(self) -> str:
        """The value as people read it."""
        return spaced(self.form.format(self.value))

    @property
    def interval_text(self) -> str:
        """The interval, or nothing."""
        return "" if self.interval is None else between(self.interval, self.form)


def interval_of(it: Comparison | Rung, key: str) -> Interval | None:
    """The interval of the figure `key`; None where it has none."""
    name = key.removesuffix("_mean").removesuffix("_fraction") + "_ci95"
    found: Interval | None = getattr(it, name, None)
    return found


def between(interval: Interval, form: str) -> str:
    """`1.0 to 2.0`."""
    return spaced(" to ".join(form.format(end) for end in interval))


def spaced(text: str) -> str:
    """The text with a space before each sign of per cent; that space breaks no line."""
    return text.replace("%", "\u00a0%")


def percent(part: float, digits: int = 1) -> str:
    """`12.5 %` for 0.125."""
    return spaced(f"{part:.{digits}%}")


def title_of(card: Card) -> str:
    """What the model is called."""
    return card.model.name or file_name(card.model.path)


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def verdict_of(card: Card) -> tuple[str, str]:
    """A word or three, and the sentences that say why."""
    evaluation = card.evaluation
    if card.ladder:
        return "Size and quality", _of_ladder(card.ladder)
    if evaluation is None and card.fitted is not None:
        return "Fitted", _of_fitted(card.fitted)
    if evaluation is None:
        return "Not evaluated", "Nothing was measured of this file; what it holds is told below."
    text, tasks = evaluation.text, _of_tasks(evaluation.tasks)
    if text is None:
        return "Tasks", tasks
    found = text.comparison
    if found is None:
        words = f"Perplexity {text.perplexity:.3f} over {text.n_tokens:,} tokens, by itself: "
        return "No reference", f"{words}what was lost is told by a reference only. {tasks}".strip()
    return found.verdict.capitalize(), f"{_of_comparison(text, found)} {tasks}".strip()


def _of_fitted(made: QuantizedCheckpoint) -> str:
    within = ""
    if made.budget_bytes is not None:
        within = f" of {megabytes(made.budget_bytes)} that it may have"
    return (
        f"It takes {megabytes(made.size_bytes)}{within}. Over {made.n_tokens:,} tokens like those "
        f"it was calibrated on, its probabilities are {made.measured_kl:.4f} nats from its "
        "source's; what it costs on your own text is told by aboard eval."
    )


def _of_comparison(text: TextScores, found: Comparison) -> str:
    if found.verdict == "identical":
        return f"All probabilities of {text.n_tokens:,} tokens are those of the reference."
    more = found.ppl_ratio - 1
    interval = found.ppl_ratio_ci95
    sure = ""
    if interval is not None:
        sure = f" ({between((interval[0] - 1, interval[1] - 1), '{:+.1%}')})"
    end = {
        "no measurable difference": "Of this text, the intervals allow for no difference at all.",
        "too few sequences": "The text is too short to say how sure that is.",
    }.get(found.verdict, "")
    return (
        f"Over {text.n_tokens:,} tokens it goes on with the reference's likeliest token "
        f"{percent(found.same_top_fraction)} of the time; its perplexity is {percent(abs(more))} "
        f"{'higher' if more >= 0 else 'lower'}{sure}, and its probabilities are "
        f"{found.kl_mean:.4f} nats away. {end}"
    ).strip()


def _of_tasks(tasks: Sequence[TaskScores]) -> str:
    compared = [each for each in tasks if each.comparison is not None]
    if not compared:
        return ""
    worse = [
        each.name
        for each in compared
        if each.comparison is not None and each.comparison.difference_ci95[1] < 0
    ]
    if worse:
        return f"Measurably worse at {', '.join(worse)}."
    return "No task became measurably worse."


def _of_ladder(rungs: Sequence[Rung]) -> str:
    clean = [each for each in rungs if each.verdict in ("identical", "no measurable difference")]
    order = sorted(rungs, key=lambda each: each.size_bytes)
    ends = (
        f"From {megabytes(order[0].size_bytes)}, with a KL divergence of {order[0].kl_mean:.3f} "
        f"nats, to {megabytes(order[-1].size_bytes)} with {order[-1].kl_mean:.5f}."
    )
    if not clean:
        return f"{ends} Each of these sizes differs measurably from the source."
    least = min(clean, key=lambda each: each.size_bytes)
    return (
        f"{ends} {megabytes(least.size_bytes)} ({least.name}) is the smallest of which no "
        "difference can be measured on this text."
    )


def figures_of(card: Card) -> list[Figure]:
    """All figures of the table, in order."""
    found = [
        Figure(
            key="model.size_bytes",
            name="Size",
            value=card.model.size_bytes,
            form="{:,.0f} bytes",
            meaning="The whole file: what is copied, and about what is read for each token.",
        ),
        Figure(
            key="model.bits_per_weight",
            name="Bits a weight",
            value=card.model.bits_per_weight,
            form="{:.3f}",
            meaning="The whole file over all weights, header, tokenizer and vectors included.",
        ),
    ]
    found += _of_making(card.fitted) if card.fitted is not None else []
    evaluation = card.evaluation
    if evaluation is None:
        return found
    if evaluation.text is not None:
        found += _of_text(evaluation.text)
    for index, task in enumerate(evaluation.tasks):
        found += _of_task(f"evaluation.tasks.{index}", task)
    return found


def _of_making(made: QuantizedCheckpoint) -> list[Figure]:
    error = 1.96 * (made.measured_kl_error or 0)
    found = [
        Figure(
            key="fitted.measured_kl",
            name="KL divergence, held out",
            value=made.measured_kl,
            form="{:.5f}",
            interval=(max(0.0, made.measured_kl - error), made.measured_kl + error),
            meaning="How far its probabilities are from the source's, in nats a token, on the "
            "part of the calibration text that it was not made on.",
        )
    ]
    if made.predicted_kl is not None:
        found.append(
            Figure(
                key="fitted.predicted_kl",
                name="KL divergence, foreseen",
                value=made.predicted_kl,
                form="{:.5f}",
                meaning="The sum of what its parts were measured to cost by themselves, rounded to "
                "nearest.",
            )
        )
    return found


def _of_text(text: TextScores) -> list[Figure]:
    at = "evaluation.text"
    found = [
        Figure(
            key=f"{at}.perplexity",
            name="Perplexity",
            value=text.perplexity,
            form="{:.3f}",
            interval=text.perplexity_ci95,
            meaning="Between so many tokens, equally likely, it would be as uncertain; only "
            "comparable with the same tokenizer and window.",
        )
    ]
    if text.bits_per_byte is not None:
        found.append(
            Figure(
                key=f"{at}.bits_per_byte",
                name="Bits a byte",
                value=text.bits_per_byte,
                meaning="To so many bits it would compress a byte of the text; comparable between "
                "all models.",
            )
        )
    if text.comparison is None:
        return found
    return found + _of_difference(f"{at}.comparison", text.comparison)


def _of_difference(at: str, it: Comparison) -> list[Figure]:
    def row(key: str, name: str, form: str, meaning: str) -> Figure:
        return Figure(
            key=f"{at}.{key}",
            name=name,
            value=getattr(it, key),
            form=form,
            meaning=meaning,
            interval=interval_of(it, key),
        )

    return [
        row("reference_perplexity", "Reference's perplexity", "{:.3f}", "That of the reference."),
        row(
            *("ppl_ratio", "Perplexity ratio", "{:.5f}"),
            "The model's perplexity over the reference's: 1.02 is 2 % worse.",
        ),
        row(
            *("kl_mean", "KL divergence", "{:.5f}"),
            "How far the probabilities of all next tokens are from the reference's, in nats a "
            "token; 0 is the same, and below 0.01 it doesn't rank models.",
        ),
        row(
            *("kl_p99", "KL divergence, worst 1 %", "{:.3f}"),
            "One token in a hundred diverges by more than this.",
        ),
        row("kl_max", "KL divergence, worst token", "{:.3f}", "No token diverges by more."),
        row(
            *("same_top_fraction", "Same likeliest token", "{:.2%}"),
            "How often both would go on with the same token.",
        ),
        row(
            *("worst_drop", "Worst 1 % of true tokens", "{:+.3f}"),
            "At one token in a hundred the probability of the true one changed by this or worse.",
        ),
        row(
            *("flips_lost", "Right tokens lost", "{:,.0f}"),
            "True tokens that the reference found likeliest and the model doesn't.",
        ),
        row(
            *("flips_gained", "Right tokens gained", "{:,.0f}"),
            "True tokens that the model finds likeliest and the reference didn't.",
        ),
    ]


def _of_task(at: str, task: TaskScores) -> list[Figure]:
    found = [
        Figure(
            key=f"{at}.accuracy",
            name=f"{task.name}: accuracy",
            value=task.accuracy,
            form="{:.2%}",
            interval=task.accuracy_ci95,
            meaning=f"Right answers, of {task.n_items:,} questions.",
        )
    ]
    if task.accuracy_norm is not None:
        found.append(
            Figure(
                key=f"{at}.accuracy_norm",
                name=f"{task.name}: by character",
                value=task.accuracy_norm,
                form="{:.2%}",
                interval=task.accuracy_norm_ci95,
                meaning="Right answers, where long choices are made up for their length.",
            )
        )
    if task.comparison is not None:
        it = task.comparison
        found.append(
            Figure(
                key=f"{at}.comparison.difference",
                name=f"{task.name}: difference",
                value=it.difference,
                form="{:+.2%}",
                interval=it.difference_ci95,
                meaning=f"Against the reference, question by question: {it.lost} lost, "
                f"{it.gained} gained; by chance as uneven with p = {it.mcnemar_p:.3f}.",
            )
        )
    return found
