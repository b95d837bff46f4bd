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
        return np.ascontiguousarray(np.diagonal(self.all_tokens()))

    def all_tokens(self) -> Float32:
        """The mean over both kinds of tokens, (K, K) float32."""
        total = self.n_tokens + self.n_held_out
        return self.gram * np.float32(self.n_tokens / total) + self.held_out * np.float32(
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
    sums: dict[bool, Float32] = {}
    counts = {False: 0, True: 0}
    for piece, is_held_out in inputs:
        with np.errstate(over="ignore", invalid="ignore"):  # seen below
            product = piece.T @ piece
            if is_held_out in sums:
                sums[is_held_out] += product
            else:
                sums[is_held_out] = product
        counts[is_held_out] += piece.shape[0]
    assert all(counts.values()), "there are tokens of both kinds"
    for is_held_out, total in sums.items():
        if not np.isfinite(total).all():
            raise NumericalError(
                f"{what}: inputs that the model computes on the calibration text, or their "
                "squares, are beyond float32",
                hint="Its weights are damaged, or its activations have enormous outliers: "
                "round it without calibration.",
            )
        total /= np.float32(counts[is_held_out])
    return Moments(
        gram=sums[False], held_out=sums[True], n_tokens=counts[False], n_held_out=counts[True]
    )


def cost(errors: Float32, gram: Float32) -> float:
    """The mean square of what `errors`, (R, K), do to a token's outputs, summed over the rows."""
    return float(np.einsum("rk,rk->", errors @ gram, errors, dtype=np.float64))
