"""Size against what it costs: a point for each rung of a ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aboard.amounts import megabytes
from aboard.card.axes import Label, Scale, around, grid, put_labels, short
from aboard.card.contents import Rung
from aboard.card.drawing import Box, Drawing, text_width
from aboard.evaluate.statistics import Interval
from aboard.evaluate.text_scores import NEAR_LOSSLESS_KL

LOOKS = {"fitted": "own", "plain": "other", "peer": "peer"}
WAYS = {
    "fitted": "a format for each tensor",
    "plain": "one format for all",
    "peer": "llama.cpp",
}
_LEAST_KL = 1e-7  # nats; below, there is no place on a logarithmic axis
_MOST_RATIO = 1e6  # of perplexities; beyond, up to infinity, a model is broken, and so said


@dataclass(frozen=True, slots=True)
class Measure:
    """What a curve shows of a rung.

    Attributes
    ----------
    value, interval : callable
        Its figure, and the interval of that.
    text : callable
        A figure as the axis says it.
    logarithmic : bool
        Whether ratios count.
    """

    value: Callable[[Rung], float]
    interval: Callable[[Rung], Interval | None]
    text: Callable[[float], str]
    logarithmic: bool


KL = Measure(
    lambda rung: max(rung.kl_mean, _LEAST_KL),
    lambda rung: rung.kl_ci95,
    short,
    True,
)
PERPLEXITY = Measure(
    lambda rung: _percent_more(rung.ppl_ratio),
    lambda rung: _each(_percent_more, rung.ppl_ratio_ci95),
    lambda value: f"{value:+.3g} %" if value else "0",
    False,
)
SAME_TOP = Measure(
    lambda rung: 100 * rung.same_top_fraction,
    lambda rung: _each(lambda part: 100 * part, rung.same_top_ci95),
    lambda value: f"{value:.3g} %",
    False,
)


def size_curve(
    rungs: Sequence[Rung], measure: Measure, width: float, words: str, *, height: float
) -> Drawing:
    """The figure of each rung over its size, both with their intervals and names."""
    drawing = Drawing(width, height, words)
    plot = Box(52, 14, width - 52 - 16, height - 14 - 44)
    values = [end for rung in rungs for end in _reach(measure, rung)]
    low, high = around(values, logarithmic=measure.logarithmic)
    unit, unit_name = _unit(rungs)
    sizes = around((rung.size_bytes for rung in rungs), logarithmic=True)
    x = Scale(*sizes, plot.x, plot.right, logarithmic=True)
    y = Scale(low, high, plot.bottom, plot.y, measure.logarithmic)
    grid(
        drawing,
        plot,
        x,
        y,
        x_name=f"size of the file, {unit_name}",
        y_texts=[(value, measure.text(value)) for value in y.ticks(6)],
        x_texts=_size_texts(x, unit, max(3, int(width / 75))),
    )
    taken = _threshold(drawing, plot, y) if measure is KL else []
    for way in ("plain", "peer", "fitted"):
        some = sorted((each for each in rungs if each.way == way), key=lambda each: each.size_bytes)
        if way == "fitted":
            drawing.path([_at(each, measure, x, y) for each in some], "curve own")
        for each in some:
            _mark(drawing, each, measure, x, y)
    points = [_at(each, measure, x, y) for each in rungs]
    taken += [Box(px - 5, py - 5, 10, 10) for px, py in points]
    thin = [
        Box(px - 2, y(high), 4, y(low) - y(high))
        for (px, _), (low, high) in zip(
            points, (_reach(measure, each) for each in rungs), strict=True
        )
    ]
    thin += _along([each for each in rungs if each.way == "fitted"], measure, x, y)
    order = sorted(rungs, key=lambda each: (each.way != "fitted", each.size_bytes))
    labels = [
        Label(_at(each, measure, x, y), each.name, f"name halo {LOOKS[each.way]}-text")
        for each in order
    ]
    put_labels(drawing, labels, taken, Box(plot.x, 0, width - plot.x, plot.bottom), thin)
    return drawing


def _unit(rungs: Sequence[Rung]) -> tuple[float, str]:
    """What sizes are told in: bytes of the unit, and its name."""
    largest = max(rung.size_bytes for rung in rungs)
    return next(
        (each for each in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if largest >= 2 * each[0]),
        (1.0, "bytes"),
    )


def _size_texts(x: Scale, unit: float, most: int) -> list[tuple[float, str]]:
    ticks = Scale(x.low / unit, x.high / unit, 0, 1, x.logarithmic).ticks(most)
    return [(value * unit, short(value)) for value in ticks]


def key_of(rungs: Sequence[Rung]) -> list[tuple[str, str]]:
    """(look, words) of the ways there are, where there is more than one."""
    ways = [way for way in LOOKS if any(each.way == way for each in rungs)]
    return [(LOOKS[way], WAYS[way]) for way in ways] if len(ways) > 1 else []


def _threshold(drawing: Drawing, plot: Box, y: Scale) -> list[Box]:
    """The line below which KL divergence says nothing, where it is on the plot."""
    if not y.low < NEAR_LOSSLESS_KL < y.high:
        return []
    place = y(NEAR_LOSSLESS_KL)
    text = "no ranking below"
    drawing.line((plot.x, place), (plot.right, place), "bound")
    drawing.text((plot.x + 6, place + 14), text, "faint small")
    return [Box(plot.x, place - 2, text_width(text) + 6, 18)]


def _mark(drawing: Drawing, rung: Rung, measure: Measure, x: Scale, y: Scale) -> None:
    at = _at(rung, measure, x, y)
    look = LOOKS[rung.way]
    low, high = _reach(measure, rung)
    tip = f"{rung.name}: {megabytes(rung.size_bytes)}, {rung.bits_per_weight:.2f} bits a weight, "
    tip += f"KL divergence {rung.kl_mean:.5f}"
    if high > low:
        drawing.line((at[0], y(low)), (at[0], y(high)), f"reach {look}")
    if rung.way == "fitted":
        drawing.dot(at, 4.5, f"mark {look}", tip=tip)
    elif rung.way == "plain":
        drawing.dot(at, 4, f"hollow {look}", tip=tip)
    else:
        drawing.diamond(at, 5.5, f"mark {look}", tip=tip)


def _along(rungs: Sequence[Rung], measure: Measure, x: Scale, y: Scale) -> list[Box]:
    """Small boxes that cover the line from rung to rung, so that no name stands on it."""
    points = sorted(_at(each, measure, x, y) for each in rungs)
    boxes = []
    for (ax, ay), (bx, by) in pairwise(points):
        n = max(1, int(max(abs(bx - ax), abs(by - ay)) / 6))
        for i in range(n + 1):
            px, py = ax + (bx - ax) * i / n, ay + (by - ay) * i / n
            boxes.append(Box(px - 2, py - 2, 4, 4))
    return boxes


def _at(rung: Rung, measure: Measure, x: Scale, y: Scale) -> tuple[float, float]:
    return x(rung.size_bytes), y(measure.value(rung))


def _reach(measure: Measure, rung: Rung) -> Interval:
    """The interval of a figure, or the figure itself; never below what an axis can show."""
    value = measure.value(rung)
    low, high = measure.interval(rung) or (value, value)
    return (max(low, _LEAST_KL), max(high, _LEAST_KL)) if measure.logarithmic else (low, high)


def _percent_more(ratio: float) -> float:
    return 100 * (min(ratio, _MOST_RATIO) - 1)


def _each(change: Callable[[float], float], interval: Interval | None) -> Interval | None:
    return None if interval is None else (change(interval[0]), change(interval[1]))
