"""GPTQ: codes of a matrix chosen one column after another, each making up for those before it.

The columns are taken in the order of falling importance. With H = (U + I) D (U + I)^T, U above the
diagonal, column k is rounded with sum over j < k of (error of j) U[j, k] added to it: that is GPTQ
(arXiv:2210.17323) without its inverse, as LDLQ has it (arXiv:2307.13304, theorem 6). The scales of
the grid are fixed before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.errors import NumericalError
from aboard.formats import Grid, nearest_codes
from aboard.quantize.factors import decompose
from aboard.quantize.gram import Float32
from aboard.quantize.moments import Moments

DAMPINGS = (0.01, 0.03, 0.1, 0.3)
"""What is added to the diagonal of H, as a part of its mean: less trust in few tokens."""

_BLOCK = 128  # columns; the errors of whole blocks go on by one product of matrices
_LARGEST_DAMPING = 1e4

_log = logging.getLogger(__name__)

Codes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Trial:
    """Some rows of a matrix, on which a damping is chosen by what it costs on tokens held out.

    Attributes
    ----------
    weights : (R, K) float32
        The rows.
    grid : Grid
        Theirs.
    nearest_cost : float
        What the nearest codes cost.
    damping : float or None
        The best so far; None: the nearest codes.
    cost : float
        What it costs.
    """

    weights: Float32
    grid: Grid
    nearest_cost: float = math.nan
    damping: float | None = None
    cost: float = math.nan


def choose_dampings(
    trials: Sequence[Trial],
    moments: Moments,
    dampings: Sequence[float] = DAMPINGS,
    *,
    threads: int = 1,
) -> None:
    """Find the best of `dampings` for each of `trials`, which have the same inputs.

    Raises
    ------
    NumericalError
        As for `Feedback.of`.
    """

    def held_out_cost(trial: Trial, codes: Codes) -> float:
        return moments.held_out.cost(trial.weights - trial.grid.weights(codes))

    for trial in trials:
        nearest = nearest_codes(trial.grid, trial.weights, threads=threads)
        trial.nearest_cost = trial.cost = held_out_cost(trial, nearest)
        trial.damping = None
    for damping in dampings if trials else ():
        assert moments.gram is not None, "what GPTQ goes by"
        feedback = Feedback.of(moments.gram.matrix, damping, rough=True, threads=threads)
        for trial in trials:
            found = held_out_cost(trial, feedback.round(trial.weights, trial.grid, threads=threads))
            if found < trial.cost:
                trial.damping, trial.cost = damping, found
        del feedback  # before there is another


@dataclass(frozen=True, slots=True)
class Feedback:
    """To whom the error of a column goes.

    Attributes
    ----------
    order : (K,) intp
        The columns as they are rounded.
    shares : (K, K) float32
        Of the error of column order[j], the part that column order[k], k > j, takes over.
    asked, damping : float
        That was asked for, and that was needed.
    """

    order: npt.NDArray[np.intp]
    shares: Float32
    asked: float
    damping: float

    @classmethod
    def of(
        cls, gram: Float32, damping: float, *, rough: bool = False, threads: int = 1
    ) -> Feedback:
        """The feedback for inputs with the moments `gram`, `damping` being raised where needed.

        `rough`: by float32 where that suffices, in half the time. `threads`: no bit depends on it.
        Memory: that of `gram` once more.

        Raises
        ------
        NumericalError
            No damping makes them positive definite.
        """
        diagonal = np.diagonal(gram).astype(np.float64)
        order = np.argsort(-diagonal, kind="stable")
        mean = float(diagonal.mean()) or 1.0
        tried = damping
        while tried <= _LARGEST_DAMPING:
            shares = gram[np.ix_(order, order)]
            try:
                decompose(shares, tried * mean, rough=rough, threads=threads)
            except np.linalg.LinAlgError:
                del shares
                if rough:
                    rough = False
                    continue
                tried = max(tried * 10, 1e-4)
                _log.warning("the moments are not positive definite: damping raised to %g", tried)
                continue
            return cls(order, shares, damping, tried)
        raise NumericalError(
            "the second moments of a matrix's inputs are no such moments: damping up to "
            f"{_LARGEST_DAMPING:g} doesn't make them positive definite"
        )

    def round(self, weights: Float32, grid: Grid, *, threads: int = 1) -> Codes:
        """Codes, (R, K) uint8, of `weights`, (R, K) float32."""
        codes = np.empty(weights.shape, np.uint8)
        codes[:, self.order] = self._codes(weights[:, self.order], grid, threads)
        return codes

    def _codes(self, weights: Float32, grid: Grid, threads: int) -> Codes:
        """Codes of some rows; the columns of `weights` and of the result are in order."""
        from aboard._native import round_columns

        n_rows, n_columns = weights.shape
        groups = (self.order // grid.group).astype(np.int32)
        errors = np.empty((n_rows, n_columns), np.float32)
        codes = np.empty((n_rows, n_columns), np.uint8)
        for first in range(0, n_columns, _BLOCK):
            block = slice(first, min(first + _BLOCK, n_columns))
            carried = errors[:, :first] @ self.shares[:first, block]
            codes[:, block], errors[:, block] = round_columns(
                np.ascontiguousarray(weights[:, block]),
                carried,
                np.ascontiguousarray(self.shares[block, block]),
                np.ascontiguousarray(grid.scale),
                None if grid.offset is None else np.ascontiguousarray(grid.offset),
                groups[block],
                grid.levels,
                threads,
            )
        return codes
