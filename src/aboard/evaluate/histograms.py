"""How figures of single tokens are spread: counts between edges that are fixed for all reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KL_EDGES = tuple(float(f"{10 ** (i / 4):.6g}") for i in range(-24, 7))
"""Of KL divergences in nats: four to a factor of ten, from 0.000001 to about 32."""
CHANGE_EDGES = tuple(i / 20 for i in range(-20, 21))
"""Of changes of a probability: steps of 0.05, from -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many tokens lie between edges.

    Attributes
    ----------
    edges : tuple of float
        n + 1 of them, rising.
    counts : tuple of int
        n: from an edge up to, and without, the next one. The first also has all that is below it,
        the last all that is above.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def histogram(values: Floats, edges: tuple[float, ...]) -> Histogram:
    """The histogram of `values`, (n,) float64, none of them NaN."""
    places = np.searchsorted(np.array(edges[1:-1]), values, side="right")
    counts = np.bincount(places, minlength=len(edges) - 1)
    return Histogram(edges=edges, counts=tuple(counts.tolist()))
