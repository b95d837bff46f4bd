"""H = (U + I) D (U + I)^T, U above the diagonal, D diagonal, in the memory of H.

The tiles are taken from the last column to the first; a tile is that of H without the products of
those behind it, in float64, and U is kept in float32. So it is as exact as a decomposition in
float64 whose result is rounded, and takes K^2 floats beside a few tiles. A matrix of one tile is
decomposed by LAPACK as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from aboard.quantize.gram import Float32
from aboard.quantize.tiles import on_threads, tiles

Floats = npt.NDArray[np.floating[Any]]


def decompose(matrix: Float32, added: float, *, rough: bool = False, threads: int = 1) -> None:
    """Make U + I of H + `added` I, (K, K) float32, of which the upper half counts; in place.

    Parameters
    ----------
    matrix : (K, K) float32
        H, symmetric. Spent where this raises.
    added : float
        To its diagonal.
    rough : bool
        Compute in float32, in half the time.
    threads : int
        That compute at once; no bit depends on it.

    Raises
    ------
    LinAlgError
        It is not positive definite.
    """
    dtype = np.dtype(np.float32 if rough else np.float64)
    places = tiles(len(matrix))
    sizes = np.empty(len(matrix), dtype)  # squared: D
    for at in reversed(range(len(places))):
        columns = places[at]
        panel = _Panel(matrix, columns, places[at + 1 :], sizes)
        corner = panel.left(columns)
        corner[np.diag_indices_from(corner)] += dtype.type(added)
        lower = np.linalg.cholesky(np.ascontiguousarray(corner[::-1, ::-1]))
        if not np.isfinite(lower).all():
            raise np.linalg.LinAlgError("not finite")
        upper = lower[::-1, ::-1]  # corner = upper upper^T
        sizes[columns] = np.diagonal(upper)
        if at:
            panel.finish(places[:at], np.linalg.inv(upper).T / sizes[columns], threads)
        matrix[columns, columns] = upper / sizes[columns]
        matrix[columns, : columns.start] = 0


class _Panel:
    """Some columns of the matrix, those behind them being done."""

    def __init__(self, matrix: Float32, columns: slice, behind: list[slice], sizes: Floats) -> None:
        self._matrix, self._columns, self._dtype = matrix, columns, sizes.dtype
        self._behind = [
            (k, matrix[columns, k].astype(sizes.dtype) * np.square(sizes[k])) for k in behind
        ]

    def left(self, rows: slice) -> Floats:
        """The tile of H without what those behind it account for."""
        tile: Floats = self._matrix[rows, self._columns].astype(self._dtype)
        for k, others in self._behind:
            tile -= self._matrix[rows, k].astype(self._dtype) @ others.T
        return tile

    def finish(self, above: list[slice], undo: Floats, threads: int) -> None:
        """Make the tiles of U above the diagonal, which are what is left times `undo`."""

        def work(rows: slice) -> None:
            self._matrix[rows, self._columns] = self.left(rows) @ undo

        on_threads(work, above, threads)
