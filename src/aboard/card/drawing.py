"""SVG by hand: a drawing of shapes and texts whose colours a style sheet decides.

Nothing in it has a colour of its own, only a class, so that one drawing is right on light and on
dark paper; a drawing is as wide as it is asked to be, with letters of one size, so that it is
readable on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

LETTER = 0.6
"""The width of a letter over the size of the font, about, of the usual fonts without serifs."""
SIZE = 12.5
"""Of letters, in px."""

# What could move the cursor of a terminal, or turn the direction of the text that follows.
_CONTROLS = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "\ufffd",
) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def shown(text: object) -> str:
    """Any text as HTML and SVG may hold it, within quotes, too."""
    return escape(str(text).translate(_CONTROLS), quote=True)


def text_width(text: str, size: float = SIZE) -> float:
    """About how wide a text is, in px."""
    return len(text) * size * LETTER


def cut(text: str, width: float) -> str:
    """As much of a text as there is room for, in px."""
    most = int(width / (SIZE * LETTER))
    return text if len(text) <= most else text[: max(1, most - 1)] + "…"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: its left upper corner, width and height, in px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    def meets(self, other: Box) -> bool:
        """Whether both have a point in common."""
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )

    def within(self, other: Box) -> bool:
        """Whether all of it lies in `other`."""
        return (
            other.x <= self.x
            and self.right <= other.right
            and other.y <= self.y
            and self.bottom <= other.bottom
        )


class Drawing:
    """Shapes, in the order in which they are painted.

    Parameters
    ----------
    width, height : float
        In px.
    words : str
        What it shows, for those who can't see it.
    """

    def __init__(self, width: float, height: float, words: str) -> None:
        self.width, self.height = width, height
        self._words = words
        self._shapes: list[str] = []

    def line(self, a: Point, b: Point, look: str) -> None:
        """A straight line."""
        self._shapes.append(
            f'<line class="{look}" x1="{_n(a[0])}" y1="{_n(a[1])}" x2="{_n(b[0])}" '
            f'y2="{_n(b[1])}"/>'
        )

    def path(self, points: Sequence[Point], look: str) -> None:
        """A line from point to point."""
        if len(points) > 1:
            told = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
            self._shapes.append(f'<polyline class="{look}" points="{told}"/>')

    def rect(self, box: Box, look: str, *, round: float = 0, tip: str = "") -> None:
        """A rectangle; `tip` is shown where the mouse rests."""
        corner = f' rx="{_n(round)}"' if round else ""
        self._shapes.append(
            f'<rect class="{look}" x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" '
            f'height="{_n(box.height)}"{corner}{_ending("rect", tip)}'
        )

    def dot(self, at: Point, radius: float, look: str, *, tip: str = "") -> None:
        """A circle."""
        self._shapes.append(
            f'<circle class="{look}" cx="{_n(at[0])}" cy="{_n(at[1])}" r="{_n(radius)}"'
            f"{_ending('circle', tip)}"
        )

    def diamond(self, at: Point, radius: float, look: str, *, tip: str = "") -> None:
        """A square on its tip."""
        (x, y), r = at, radius
        told = " ".join(
            f"{_n(a)},{_n(b)}" for a, b in ((x, y - r), (x + r, y), (x, y + r), (x - r, y))
        )
        self._shapes.append(f'<polygon class="{look}" points="{told}"{_ending("polygon", tip)}')

    def text(self, at: Point, text: str, look: str = "ink", anchor: Anchor = "start") -> None:
        """A line of text whose baseline begins, has its middle, or ends at a point."""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._shapes.append(
            f'<text class="{look}" x="{_n(at[0])}" y="{_n(at[1])}"{where}>{shown(text)}</text>'
        )

    def svg(self, look: str = "") -> str:
        """The element, to stand in an HTML page."""
        return (
            f'<svg class="{look}" viewBox="0 0 {_n(self.width)} {_n(self.height)}" '
            f'width="{_n(self.width)}" height="{_n(self.height)}" role="img" '
            f'aria-label="{shown(self._words)}">{"".join(self._shapes)}</svg>'
        )


def _n(value: float) -> str:
    """A coordinate, with as few characters as a tenth of a px needs."""
    return f"{value:.1f}".removesuffix(".0")


def _ending(name: str, tip: str) -> str:
    return f"><title>{shown(tip)}</title></{name}>" if tip else "/>"
