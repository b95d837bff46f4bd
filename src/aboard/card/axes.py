"""Axes: from figures to places, and which figures are written beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aboard.card.drawing import SIZE, Box, Drawing, Point, text_width


@dataclass(frozen=True, slots=True)
class Scale:
    """Figures from `low` to `high` at places from `first` to `last`.

    Attributes
    ----------
    logarithmic : bool
        Whether equal ratios are equally far apart, not equal differences.
    """

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a figure; those beyond the ends are put there."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.first + (value - low) / (high - low) * (self.last - self.first)

    def ticks(self, most: int) -> list[float]:
        """Round figures within its ends, at most so many or a little more."""
        steps = _log_ticks if self.logarithmic and self.high > 3 * self.low else _ticks
        return steps(self.low, self.high, most)


def around(
    values: Iterable[float], *, logarithmic: bool = False, margin: float = 0.06
) -> tuple[float, float]:
    """Ends of an axis on which all of `values` lie, with some room."""
    found = list(values)
    low, high = min(found), max(found)
    if logarithmic:
        room = max((high / low) ** margin, 1.05)
        return low / room, high * room
    room = max((high - low) * margin, abs(high) * 1e-3, 1e-9)
    return low - room, high + room


def _ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Of 1, 2, 5 and fewer or more of them in each power of ten as fit best."""
    best: list[float] = []
    for times in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 6, 8)):
        found = [
            each * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for each in times
            if low <= each * 10.0**power <= high
        ]
        if best and len(found) > most:
            break
        best = found
    return best[:: math.ceil(len(best) / most)] if len(best) > most else best


def short(value: float) -> str:
    """A figure as few digits tell it: 0.0001, 0.05, 3, 120, 1,200."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 1 - math.floor(math.log10(abs(value)) + 1e-9))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def grid(
    drawing: Drawing,
    plot: Box,
    x: Scale,
    y: Scale,
    *,
    x_name: str,
    y_texts: Sequence[tuple[float, str]],
    x_texts: Sequence[tuple[float, str]],
) -> None:
    """Faint lines at the figures of the upright axis, and what both axes say."""
    for value, text in y_texts:
        drawing.line((plot.x, y(value)), (plot.right, y(value)), "rule")
        drawing.text((plot.x - 8, y(value) + 4), text, "faint", "end")
    drawing.line((plot.x, plot.bottom), (plot.right, plot.bottom), "axis")
    free_from = -math.inf
    for value, text in x_texts:
        half = text_width(text) / 2
        if x(value) - half < free_from:
            continue
        free_from = x(value) + half + 8
        drawing.line((x(value), plot.bottom), (x(value), plot.bottom + 4), "axis")
        drawing.text((x(value), plot.bottom + 18), text, "faint", "middle")
    drawing.text((plot.right, plot.bottom + 36), x_name, "faint", "end")


@dataclass(frozen=True, slots=True)
class Label:
    """What a point is called, and how it looks."""

    at: Point
    text: str
    look: str
    gap: float = 8


def put_labels(
    drawing: Drawing,
    labels: Sequence[Label],
    taken: Sequence[Box],
    within: Box,
    thin: Sequence[Box] = (),
) -> None:
    """Each label beside its point, where it hides nothing; one without room is left out.

    `thin` is what a label may stand on where there is no other room.
    """
    boxes = list(taken)
    for label in labels:
        height = SIZE
        free = [
            box
            for box in _places(label, text_width(label.text), height)
            if box.within(within) and not any(box.meets(other) for other in boxes)
        ]
        if free:
            best = [box for box in free if not any(box.meets(other) for other in thin)]
            box = (best or free)[0]
            drawing.text((box.x, box.y + height - 2.5), label.text, label.look)
            boxes.append(box)


def _places(label: Label, width: float, height: float) -> list[Box]:
    """Where a label may stand, the best place first."""
    (x, y), gap = label.at, label.gap
    corners = (
        (x + gap, y - height / 2),
        (x + gap * 0.7, y - gap - height * 0.7),
        (x + gap * 0.7, y + gap * 0.5),
        (x - gap - width, y - height / 2),
        (x - gap * 0.7 - width, y + gap * 0.5),
        (x - gap * 0.7 - width, y - gap - height * 0.7),
        (x - width / 2, y - gap - height - 2),
        (x - width / 2, y + gap + 2),
    )
    return [Box(left, top, width, height) for left, top in corners]
