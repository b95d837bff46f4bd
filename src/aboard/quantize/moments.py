"""Second moments of the inputs of matrices: what an error of a weight costs.

An error E of a matrix costs |E X|^2 = trace(E (X^T X) E^T) over its inputs X, (n, K). The sums are
float32, in pieces of a few thousand inputs, which BLAS computes as the symmetric products they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aboard.errors import NumericalError

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What the inputs of some matrices are like, by the mean over tokens.

    Attributes
    ----------
    gram : (K, K) float32
        The mean of x x^T over the tokens that decide.
    held_out : (K, K) float32
        Likewise over tokens that were kept apart, on which methods are judged.
    n_tokens, n_held_out : int
        How many tokens there are of each.
    """

    gram: Float32
    held_out: Float32
    n_tokens: int
    n_held_out: int

    @property
    def importances(self) -> Float32:
        """The mean square of each input over all tokens, (K,) float32."""
        return self._mean(np.diagonal(self.gram), np.diagonal(self.held_out))

    def all_tokens(self) -> Float32:
        """The mean over both kinds of tokens, (K, K) float32."""
        return self._mean(self.gram, self.held_out)

    def _mean(self, gram: Float32, held_out: Float32) -> Float32:
        total = self.n_tokens + self.n_held_out
        return gram * np.float32(self.n_tokens / total) + held_out * np.float32(
            self.n_held_out / total
        )

    def as_embedding(self) -> Moments:
        """Those of a head that is the embedding, too.

        An error of a row then goes into the hidden states of its token as it is. It counts as much
        there as in a logit whose inputs have the mean size.
        """

        def mixed(gram: Float32) -> Float32:
            size = np.float32(np.diagonal(gram).mean()) or np.float32(1)
            return gram + size * np.eye(gram.shape[0], dtype=np.float32)

        return replace(self, gram=mixed(self.gram), held_out=mixed(self.held_out))


def moments_of(inputs: Iterable[tuple[Float32, bool]], what: str) -> Moments:
    """The moments of `inputs`.

    Parameters
    ----------
    inputs : iterable of ((n, K) float32, bool)
        Pieces of a few thousand tokens, and whether they are held out.
    what : str
        Whose inputs they are, for messages.

    Raises
    ------
    NumericalError
        An input is NaN or infinite, or too large for its square.
    """
    sums = {False: _Sum(), True: _Sum()}
    for piece, is_held_out in inputs:
        sums[is_held_out].add(piece)
    return Moments(
        gram=sums[False].mean(what),
        held_out=sums[True].mean(what),
        n_tokens=sums[False].n_tokens,
        n_held_out=sums[True].n_tokens,
    )


def moments_of_all(inputs: Iterable[Float32], what: str) -> Moments:
    """The moments of `inputs`, (n, K) float32 each, where there are no methods to be judged.

    All tokens are of either kind. `what` and what is raised: as for `moments_of`.
    """
    found = _Sum()
    for piece in inputs:
        found.add(piece)
    gram = found.mean(what)
    return Moments(gram=gram, held_out=gram, n_tokens=found.n_tokens, n_held_out=found.n_tokens)


class _Sum:
    """The sum of x x^T over tokens, and how many there were."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self._total: Float32 | None = None

    def add(self, piece: Float32) -> None:
        """Add some tokens, (n, K) float32."""
        with np.errstate(over="ignore", invalid="ignore"):  # seen in the end
            product = piece.T @ piece
            if self._total is None:
                self._total = product
            else:
                self._total += product
        self.n_tokens += piece.shape[0]

    def mean(self, what: str) -> Float32:
        """The sum over the tokens, (K, K) float32; see `moments_of` for what is raised."""
        assert self._total is not None, "there are tokens of each kind"
        if not np.isfinite(self._total).all():
            raise NumericalError(
                f"{what}: inputs that the model computes on the calibration text, or their "
                "squares, are beyond float32",
                hint="Its weights are damaged, or its activations have enormous outliers: "
                "round it without calibration.",
            )
        self._total /= np.float32(self.n_tokens)
        return self._total


def cost(errors: Float32, gram: Float32) -> float:
    """The mean square of what `errors`, (R, K), do to a token's outputs, summed over the rows."""
    return float(np.einsum("rk,rk->", errors @ gram, errors, dtype=np.float64))
