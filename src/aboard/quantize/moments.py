"""Second moments of the inputs of matrices: what an error of a weight costs.

An error E of a matrix costs |E X|^2 = trace(E (X^T X) E^T) over its inputs X, (n, K).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from aboard.quantize.gram import (
    Float32,
    Float64,
    Gram,
    GramSum,
    mean_of,
    require_finite,
    square_sums,
)


@dataclass(slots=True, kw_only=True)
class Moments:
    """What the inputs of some matrices are like, by the mean over tokens.

    Attributes
    ----------
    squares : (K,) float32
        The mean square of each over the tokens that decide.
    held_out : Gram
        The mean of x x^T over tokens that were kept apart, on which methods are judged.
    n_tokens : int
        How many tokens decide.
    gram : Gram, optional
        The mean of x x^T over those, where it was asked for.
    """

    squares: Float32
    held_out: Gram
    n_tokens: int
    gram: Gram | None = None
    _all: Float32 | None = field(default=None, init=False)

    @property
    def importances(self) -> Float32:
        """The mean square of each input over all tokens, (K,) float32."""
        total = self.n_tokens + self.held_out.n_tokens
        return self.squares * np.float32(self.n_tokens / total) + self.held_out.diagonal * (
            np.float32(self.held_out.n_tokens / total)
        )

    def all_tokens(self, threads: int = 1) -> Float32:
        """The mean of x x^T over both kinds of tokens, (K, K) float32.

        It takes the place of `gram`, which is gone.
        """
        if self._all is None:
            assert self.gram is not None, "it was asked for"
            self._all, self.gram = self.gram.joined(self.held_out, threads), None
        return self._all

    def take_embedding(self) -> None:
        """Become those of a head that is the embedding, too.

        An error of a row then goes into the hidden states of its token as it is. It counts as much
        there as in a logit whose inputs have the mean size.
        """
        size = _size(self.squares)
        self.squares = self.squares + size
        if self.gram is not None:
            self.gram.add_to_diagonal(size)
        self.held_out.add_to_diagonal(_size(self.held_out.diagonal))


def _size(squares: Float32) -> np.float32:
    return np.float32(squares.mean()) or np.float32(1)


def moments_of(
    inputs: Iterable[tuple[Float32, bool]], what: str, *, with_gram: bool = True, threads: int = 1
) -> Moments:
    """The moments of `inputs`.

    Memory: of K columns, K^2 floats of the tokens that decide, which `with_gram` spares; of those
    held out likewise, or their inputs, where these are fewer.

    Parameters
    ----------
    inputs : iterable of ((n, K) float32, bool)
        Pieces of a few thousand tokens, and whether they are held out. They are kept.
    what : str
        Whose inputs they are, for messages.
    with_gram : bool
        Whether `gram` is wanted, which error feedback needs.
    threads : int
        That compute at once; no bit depends on it.

    Raises
    ------
    NumericalError
        An input is NaN or infinite, or too large for its square.
    """
    held_out = GramSum(what, threads=threads)
    deciding: GramSum | _Squares = _Squares(what)
    if with_gram:
        deciding = GramSum(what, as_matrix=True, threads=threads)
    for piece, is_held_out in inputs:
        (held_out if is_held_out else deciding).add(piece)
    n_tokens = deciding.n_tokens
    found = deciding.mean()
    if isinstance(found, Gram):
        return Moments(
            squares=found.diagonal.copy(), held_out=held_out.mean(), n_tokens=n_tokens, gram=found
        )
    return Moments(squares=found, held_out=held_out.mean(), n_tokens=n_tokens)


class _Squares:
    """The sum of the squares of each input over tokens."""

    def __init__(self, what: str) -> None:
        self.n_tokens = 0
        self._what = what
        self._total: Float64 | None = None

    def add(self, piece: Float32) -> None:
        """Add some tokens, (n, K) float32."""
        self.n_tokens += piece.shape[0]
        sums = square_sums(piece)
        self._total = sums if self._total is None else self._total + sums

    def mean(self) -> Float32:
        """The mean over the tokens, (K,) float32."""
        assert self._total is not None, "there are tokens"
        found = mean_of(self._total, self.n_tokens)
        require_finite(found, self._what)
        return found


def gram_of(inputs: Iterable[Float32], what: str, *, threads: int = 1) -> Gram:
    """The mean of x x^T over `inputs`, (n, K) float32 each.

    `what` and what is raised: as for `moments_of`.
    """
    found = GramSum(what, threads=threads)
    for piece in inputs:
        found.add(piece)
    return found.mean()
