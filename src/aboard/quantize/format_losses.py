"""What formats do to a part: their errors, and the losses that follow where some were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from aboard.quantize.gram import Float32, Gram
from aboard.quantize.parts import Part, fitting_formats
from aboard.quantize.rounding import Source, rounded_weights, sample_rows

_ROWS = 64  # of a tensor, by which formats are compared
_LEAST = 1e-12  # nats; of a part that changes nothing


@dataclass(slots=True)
class Sensitivity:
    """What formats cost a part.

    Attributes
    ----------
    part : Part
        Which.
    errors : dict of str to float
        Of each format it may have, the squared error of the outputs as a part of what they are.
    measured : dict of str to float
        Of formats that were measured, the KL divergence in nats a token.
    """

    part: Part
    errors: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)

    def loss(self, format: str) -> float:
        """The KL divergence in nats a token, as it was measured or is estimated.

        Between two measured formats a power of the error; beyond them proportional to it.
        """
        if format in self.measured:
            return self.measured[format]
        error = self.errors[format]
        points = sorted(
            (self.errors[name], max(found, _LEAST)) for name, found in self.measured.items()
        )
        below = [point for point in points if point[0] <= error]
        above = [point for point in points if point[0] > error]
        if not below or not above:
            near_error, near_loss = below[-1] if below else above[0]
            return near_loss * error / near_error if near_error else near_loss
        (error_0, loss_0), (error_1, loss_1) = below[-1], above[0]
        if not error_0 or not error:
            return loss_0
        share = math.log(error / error_0) / math.log(error_1 / error_0)
        return math.exp((1 - share) * math.log(loss_0) + share * math.log(loss_1))


def errors_of_formats(
    source: Source, part: Part, gram: Gram | None, threads: int = 1
) -> dict[str, float]:
    """The mean over the part's tensors of what each format does to their outputs.

    By some rows of each, as a part of the mean square of what they give. `gram`: of the inputs;
    None: of an embedding, the rows of which are what it gives.
    """
    names = fitting_formats(part.columns)
    importances = None if gram is None else np.ascontiguousarray(gram.diagonal)
    found = dict.fromkeys(names, 0.0)
    for tensor in part.tensors:
        weights = sample_rows(source, tensor, _ROWS)
        whole = (_cost(weights, gram) or 1.0) * len(part.tensors)
        for name in names:
            rounded = rounded_weights(name, weights, importances, threads=threads)
            found[name] += _cost(weights - rounded, gram) / whole
    return found


def _cost(weights: Float32, gram: Gram | None) -> float:
    """The mean square of what weights, or errors of them, give; of themselves without inputs."""
    if gram is None:
        return float(np.square(weights, dtype=np.float64).sum())
    return gram.cost(weights)
