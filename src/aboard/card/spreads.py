"""How figures are spread: over tokens, over sequences, over tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aboard.card.axes import Scale, around, grid, short
from aboard.card.drawing import Box, Drawing, cut, text_width
from aboard.card.words import percent
from aboard.evaluate import Comparison, SequenceScores, TaskScores
from aboard.evaluate.histograms import Histogram
from aboard.evaluate.statistics import Interval


def divergence_spread(found: Comparison, width: float, words: str) -> Drawing:
    """How many tokens diverge by how much, and where mean and worst hundredth are."""
    edges, counts = _trimmed(found.kl_histogram, found.kl_p99)
    drawing = Drawing(width, 230, words)
    total = sum(found.kl_histogram.counts)
    plot = Box(44, 34, width - 44 - 4, 230 - 34 - 44)
    x = Scale(edges[0], edges[-1], plot.x, plot.right, logarithmic=True)
    y = Scale(0, max(counts), plot.bottom, plot.y)
    shares = [each for each in Scale(0, max(counts) / total, 0, 1).ticks(4) if each > 0]
    powers = [10.0**power for power in range(-7, 3) if edges[0] <= 10.0**power <= edges[-1]]
    grid(
        drawing,
        plot,
        x,
        y,
        x_name="KL divergence of a token, nats",
        y_texts=[(share * total, percent(share, 0)) for share in shares],
        x_texts=[(value, short(value)) for value in powers],
    )
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        box = Box(x(low) + 0.5, y(count), x(high) - x(low) - 1, plot.bottom - y(count))
        beyond = low >= found.kl_p99 * 0.99
        tip = f"{short(low)} to {short(high)} nats: {count:,} tokens, {percent(count / total, 2)}"
        drawing.rect(box, "bar-worst" if beyond else "bar", tip=tip)
    marks = [
        (found.kl_mean, f"mean {found.kl_mean:.3g}"),
        (found.kl_p99, f"99 % {found.kl_p99:.2g}"),
    ]
    _flags(drawing, plot, x, [mark for mark in marks if edges[0] < mark[0] < edges[-1]])
    return drawing


def change_spread(found: Comparison, width: float, words: str) -> Drawing:
    """How the probability of true tokens changed; counts on a logarithmic axis, for the ends."""
    edges, counts = found.change_histogram.edges, found.change_histogram.counts
    total = sum(counts)
    drawing = Drawing(width, 230, words)
    plot = Box(52, 34, width - 52 - 4, 230 - 34 - 44)
    x = Scale(edges[0], edges[-1], plot.x, plot.right)
    least = 0.5 / total
    y = Scale(least, 1, plot.bottom, plot.y, logarithmic=True)
    powers = [10.0**power for power in range(-7, 1) if 10.0**power > least]
    grid(
        drawing,
        plot,
        x,
        y,
        x_name="change of the true token's probability",
        y_texts=[(value, f"{100 * value:.4g} %") for value in powers],
        x_texts=[(value, f"{value:+.1f}" if value else "0") for value in (-1, -0.5, 0, 0.5, 1)],
    )
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            top = y(count / total)
            tip = f"{low:+.2f} to {high:+.2f}: {count:,} tokens, {percent(count / total, 3)}"
            box = Box(x(low) + 0.5, top, x(high) - x(low) - 1, plot.bottom - top)
            drawing.rect(box, "bar-worst" if high <= found.worst_drop + 1e-9 else "bar", tip=tip)
    _flags(drawing, plot, x, [(found.worst_drop, f"worst 1 %: {found.worst_drop:+.2f}")])
    return drawing


def sequence_pairs(
    sequences: Sequence[SequenceScores],
    mean: float,
    interval: Interval | None,
    width: float,
    words: str,
) -> Drawing:
    """A dot for each sequence: its perplexity by the reference, and how far the model's is off.

    `mean` and `interval` are the perplexity ratio of all tokens; all perplexities are finite.
    """
    pairs = [
        (math.exp(each.reference_nats), 100 * (math.exp(each.nats - each.reference_nats) - 1))
        for each in sequences
        if each.reference_nats is not None
    ]
    drawing = Drawing(width, 270, words)
    plot = Box(58, 14, width - 58 - 12, 270 - 14 - 44)
    band = (mean, mean) if interval is None else interval
    ends = [100 * (each - 1) for each in band]
    x = Scale(
        *around((pair[0] for pair in pairs), logarithmic=True), plot.x, plot.right, logarithmic=True
    )
    y = Scale(*around([0, *ends, *(pair[1] for pair in pairs)]), plot.bottom, plot.y)
    grid(
        drawing,
        plot,
        x,
        y,
        x_name="perplexity by the reference",
        y_texts=[(value, f"{value:+.3g} %" if value else "same") for value in y.ticks(5)],
        x_texts=[(value, short(value)) for value in x.ticks(max(3, int(width / 80)))],
    )
    drawing.line((plot.x, y(0)), (plot.right, y(0)), "axis")
    high = max(y(ends[0]) - y(ends[1]), 1.0)
    drawing.rect(Box(plot.x, y(ends[1]), plot.width, high), "band")
    for before, more in pairs:
        drawing.dot((x(before), y(more)), 3.2, "pair", tip=f"{before:.2f}, {more:+.2f} %")
    text = f"all tokens {100 * (mean - 1):+.2f} %"
    above = y(ends[1]) - 5 if y(ends[1]) > plot.y + 20 else y(ends[0]) + 14
    drawing.text((plot.right - 2, above), text, "strong halo", "end")
    return drawing


def task_differences(tasks: Sequence[TaskScores], width: float, words: str) -> Drawing:
    """The accuracy of each task with its interval; against a reference, the difference."""
    rows = [(each, _forest(each)) for each in tasks]
    compared = any(each.comparison is not None for each in tasks)
    names = min(max(text_width(each.name) for each in tasks) + 12, width * 0.3)
    drawing = Drawing(width, 34 * len(rows) + 52, words)
    right = 118 if width > 500 else 0
    plot = Box(names, 8, width - names - right - 16, 34 * len(rows))
    ends = [end for _, (low, _, high) in rows for end in (low, high)]
    x = Scale(*around([0.0, *ends] if compared else ends, margin=0.1), plot.x, plot.right)
    texts = [
        (value, (f"{100 * value:+.3g}" if value else "0") if compared else f"{100 * value:.3g}")
        for value in x.ticks(5)
    ]
    name = "difference in accuracy, points" if compared else "accuracy, %"
    grid(drawing, plot, x, Scale(0, 1, plot.bottom, plot.y), x_name=name, y_texts=[], x_texts=texts)
    if compared:
        drawing.line((x(0), plot.y), (x(0), plot.bottom), "axis")
    for i, (task, (low, middle, high)) in enumerate(rows):
        y = plot.y + 34 * i + 17
        look = "worse" if compared and high < 0 else "own"
        drawing.text((plot.x - 10, y + 4), cut(task.name, plot.x - 10), "ink", "end")
        drawing.line((x(low), y), (x(high), y), f"reach {look}")
        drawing.dot((x(middle), y), 4.5, f"mark {look}")
        if right:
            drawing.text((width - 2, y + 4), _accuracies(task), "faint", "end")
    return drawing


def _accuracies(task: TaskScores) -> str:
    own = percent(task.accuracy)
    if task.comparison is None:
        return own
    return f"{percent(task.comparison.reference_accuracy)} → {own}"


def _forest(task: TaskScores) -> tuple[float, float, float]:
    if task.comparison is None:
        return task.accuracy_ci95[0], task.accuracy, task.accuracy_ci95[1]
    low, high = task.comparison.difference_ci95
    return low, task.comparison.difference, high


def _flags(drawing: Drawing, plot: Box, x: Scale, marks: Sequence[tuple[float, str]]) -> None:
    """Upright lines with their names above: the first one's ends at its line, the last's begins."""
    for i, (value, text) in enumerate(marks):
        place, wide = x(value), text_width(text)
        leftward = (i == 0 and len(marks) > 1) or place + wide > drawing.width
        leftward = leftward and place - wide > 0
        drawing.line((place, plot.y - 26), (place, plot.bottom), "flag")
        drawing.text(
            (place - 5 if leftward else place + 5, plot.y - 17),
            text,
            "strong",
            "end" if leftward else "start",
        )


def _trimmed(found: Histogram, marked: float) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The histogram without the empty ends, and with room for a name beside what is marked."""
    full = [i for i, count in enumerate(found.counts) if count]
    beside = sum(edge < marked for edge in found.edges) + 3
    first = max(full[0] - 1, 0)
    last = min(max(full[-1], beside) + 1, len(found.counts) - 1)
    return found.edges[first : last + 2], found.counts[first : last + 1]
