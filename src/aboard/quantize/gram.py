"""The mean of x x^T over inputs x of a matrix: by itself, or as the inputs, where they are less.

Sums are float32, over pieces of a few thousand inputs, which BLAS computes as the symmetric
products they are. Of K columns there are K^2 numbers: 0.8 GB for the 14,336 of an 8B model. As many
tokens as there are columns, or fewer, take less than that, and tell as much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aboard.errors import NumericalError
from aboard.quantize.tiles import WHOLE, on_threads, upper_tiles

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class Gram:
    """The mean of x x^T over some tokens; `GramSum` makes it.

    Parameters
    ----------
    n_tokens : int
        Over how many.
    matrix : (K, K) float32, optional
        It itself,
    inputs : (n_tokens, K) float32, optional
        or what it is the mean of.
    """

    def __init__(
        self, n_tokens: int, matrix: Float32 | None = None, inputs: Float32 | None = None
    ) -> None:
        assert (matrix is None) != (inputs is None), "it is held in one way"
        self.n_tokens = n_tokens
        self._matrix, self._inputs = matrix, inputs
        self._added = np.float32(0)  # to the diagonal, beside inputs

    @property
    def matrix(self) -> Float32:
        """It itself, (K, K) float32, where it was asked for."""
        assert self._matrix is not None, "it was asked for as a matrix"
        return self._matrix

    @property
    def diagonal(self) -> Float32:
        """The mean square of each input, (K,) float32."""
        if self._matrix is not None:
            return np.diagonal(self._matrix)
        assert self._inputs is not None
        return mean_of(square_sums(self._inputs), self.n_tokens) + self._added

    def add_to_diagonal(self, size: np.float32) -> None:
        """Add `size` times the identity."""
        if self._matrix is None:
            self._added += size
        else:
            self._matrix[np.diag_indices_from(self._matrix)] += size

    def cost(self, errors: Float32) -> float:
        """The mean square of what `errors`, (R, K), do to a token's outputs, summed over rows."""
        if self._matrix is not None:
            products = errors @ self._matrix
            return float(np.einsum("rk,rk->", products, errors, dtype=np.float64))
        assert self._inputs is not None
        outputs = errors @ self._inputs.T
        found = np.einsum("rn,rn->", outputs, outputs, dtype=np.float64) / self.n_tokens
        if self._added:
            found += float(self._added) * np.einsum("rk,rk->", errors, errors, dtype=np.float64)
        return float(found)

    def joined(self, other: Gram, threads: int = 1) -> Float32:
        """The mean over the tokens of both, (K, K) float32, in the memory of this one's matrix.

        This one is spent.
        """
        total, self._matrix = self.matrix, None
        n_tokens = self.n_tokens + other.n_tokens
        own, others = np.float32(self.n_tokens / n_tokens), np.float32(other.n_tokens / n_tokens)
        diagonal = np.diagonal(total) * own + other.diagonal * others

        def add(place: tuple[slice, slice]) -> None:
            tile = total[place]
            tile *= own
            tile += other._tile(*place) * others
            if place[0] != place[1]:
                total[place[::-1]] = tile.T

        on_threads(add, upper_tiles(len(total)), threads)
        total[np.diag_indices_from(total)] = diagonal
        return total

    def _tile(self, rows: slice, columns: slice) -> Float32:
        """A part of it, but for what was added to the diagonal."""
        if self._matrix is not None:
            return self._matrix[rows, columns]
        assert self._inputs is not None
        product: Float32 = self._inputs[:, rows].T @ self._inputs[:, columns]
        product /= np.float32(self.n_tokens)
        return product


class GramSum:
    """The sum of x x^T over tokens, of which `mean` makes a `Gram`.

    Parameters
    ----------
    what : str
        Whose inputs they are, for messages.
    as_matrix : bool
        Whether it must be a matrix, however few tokens there are.
    threads : int
        That compute at once; no bit depends on it.
    """

    def __init__(self, what: str, *, as_matrix: bool = False, threads: int = 1) -> None:
        self.n_tokens = 0
        self._what, self._as_matrix, self._threads = what, as_matrix, threads
        self._pieces: list[Float32] = []
        self._total: Float32 | None = None

    def add(self, piece: Float32) -> None:
        """Add some tokens, (n, K) float32."""
        self.n_tokens += piece.shape[0]
        self._pieces.append(piece)
        n_columns = piece.shape[1]
        if self._as_matrix or n_columns <= WHOLE or self.n_tokens > n_columns:
            self._sum_up()

    def mean(self) -> Gram:
        """The mean; see `moments_of` for what is raised. The sum is spent."""
        assert self.n_tokens, "there are tokens"
        if self._total is None:
            inputs = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
            found = Gram(self.n_tokens, inputs=inputs)
            require_finite(found.diagonal, self._what)
        else:
            self._divide(self._total)
            found = Gram(self.n_tokens, self._total)
        self._pieces, self._total = [], None
        return found

    def _sum_up(self) -> None:
        """Add the products of what came to the total."""
        n_columns = self._pieces[0].shape[1]
        if self._total is None:
            self._total = np.zeros((n_columns, n_columns), np.float32)
        total, pieces = self._total, self._pieces

        def add(place: tuple[slice, slice]) -> None:
            rows, columns = place
            with np.errstate(over="ignore", invalid="ignore"):  # seen in the end
                for piece in pieces:
                    total[place] += piece[:, rows].T @ piece[:, columns]

        on_threads(add, upper_tiles(n_columns), self._threads)
        pieces.clear()

    def _divide(self, total: Float32) -> None:
        """Make a mean of the sum, and all of it of what is above the diagonal."""

        def divide(place: tuple[slice, slice]) -> None:
            tile = total[place]
            require_finite(tile, self._what)
            tile /= np.float32(self.n_tokens)
            if place[0] != place[1]:
                total[place[::-1]] = tile.T

        on_threads(divide, upper_tiles(len(total)), self._threads)


def square_sums(piece: Float32) -> Float64:
    """The sum of the squares of each column of (n, K) float32, (K,) float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("nk,nk->k", piece, piece, dtype=np.float64))


def mean_of(sums: Float64, n_tokens: int) -> Float32:
    """The mean in float32; what is beyond it is infinite."""
    with np.errstate(over="ignore"):
        return (sums / n_tokens).astype(np.float32)


def require_finite(moments: Float32, what: str) -> None:
    """Nothing, where second moments are numbers; NumericalError otherwise."""
    if not np.isfinite(moments).all():
        raise NumericalError(
            f"{what}: inputs that the model computes on the calibration text, or their "
            "squares, are beyond float32",
            hint="Its weights are damaged, or its activations have enormous outliers: "
            "round it without calibration.",
        )
