"""What a card shows, as data: the page and the JSON are made of this, and of nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aboard.card.described import Described
from aboard.evaluate import Evaluation
from aboard.evaluate.statistics import Interval
from aboard.fitting import QuantizedCheckpoint

SCHEMA = 1
"""Of the JSON; a key may be added without a new number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What it costs to round one part of a model by itself.

    Attributes
    ----------
    tensors : tuple of str
        The tensors of the part, which are rounded together.
    format : str
        To what.
    kl : float
        The KL divergence that it costs, in nats a token.
    measured : bool
        Whether that was measured in this format; otherwise it follows from others.
    """

    tensors: tuple[str, ...]
    format: str
    kl: float
    measured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A size of a model, and what it costs.

    Attributes
    ----------
    name : str
        "4.5 bits", or a format.
    way : str
        "fitted", with a format for each tensor, "plain", with one for all, or "peer".
    size_bytes : int
        Of the whole file; `bits_per_weight` over all weights.
    weights_sha256 : str
        The hash of its weights.
    n_tokens : int
        On which it was evaluated.
    command : str
        What makes the file again.
    note : str
        What a reader should know; may be empty.
    weights_by_format : mapping of str to int
        How many weights of its matrices have which format.

    The other fields are those of `aboard.evaluate.Comparison`.
    """

    name: str
    way: str
    size_bytes: int
    bits_per_weight: float
    weights_sha256: str
    n_tokens: int
    perplexity: float
    ppl_ratio: float
    ppl_ratio_ci95: Interval | None
    kl_mean: float
    kl_ci95: Interval | None
    same_top_fraction: float
    same_top_ci95: Interval | None
    worst_drop: float
    flips_lost: int
    flips_gained: int
    verdict: str
    command: str
    note: str = ""
    weights_by_format: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card. Its page has the parts of which there are data.

    Attributes
    ----------
    model : Described
        The file it is about; of a ladder the source.
    reference : Described or None
        What it is compared with.
    evaluation : Evaluation or None
        What was found of it.
    fitted : QuantizedCheckpoint or None
        How the file was made, and what it cost on the part of the calibration that was held out.
    sensitivities : tuple of Sensitivity
        Of the parts of the model.
    ladder : tuple of Rung
        The sizes there are of it.
    commands : tuple of str
        What makes the file and these figures again.
    hashes : mapping of str to str
        By what they are of.
    notes : tuple of str
        What a reader should know before believing the figures.
    """

    model: Described
    reference: Described | None = None
    evaluation: Evaluation | None = None
    fitted: QuantizedCheckpoint | None = None
    sensitivities: tuple[Sensitivity, ...] = ()
    ladder: tuple[Rung, ...] = ()
    commands: tuple[str, ...] = ()
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values; the evaluation as `Evaluation.as_dict` gives it."""
        told = dataclasses.asdict(dataclasses.replace(self, evaluation=None))
        told["evaluation"] = None if self.evaluation is None else self.evaluation.as_dict()
        return {"schema": SCHEMA} | told
