"""All of an evaluation, as data: what a report card is drawn from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from aboard.evaluate.task_scores import TaskScores
from aboard.evaluate.text_scores import TextScores

SCHEMA = 1
"""Of `Evaluation.as_dict`; a key may be added without a new number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A model that was evaluated.

    Attributes
    ----------
    path : str
        Its file, as it was given.
    architecture : str
        What kind of model it is.
    weights_sha256, tokenizer_sha256 : str
        The hashes of its weights and of its tokenizer.
    size_bytes : int
        Of its file, all parts together.
    kv, activations : str
        How keys and values were stored, and what matrices were multiplied with.
    """

    path: str
    architecture: str
    weights_sha256: str
    tokenizer_sha256: str
    size_bytes: int
    kv: str
    activations: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `aboard.evaluate.evaluate` found.

    Attributes
    ----------
    model : Evaluated
        What was evaluated.
    reference : Evaluated or None
        What it was compared with.
    text : TextScores or None
        On a text.
    tasks : tuple of TaskScores
        On tasks.
    notes : tuple of str
        What a reader should know before believing the figures.
    context : int
        Tokens that a sequence could hold.
    numerics_version : int
        Which arithmetic computed it: with the same one, every machine finds the same figures.
    aboard_version : str
        The program's.
    command : str
        What finds these figures again, from the same files.
    """

    model: Evaluated
    reference: Evaluated | None
    text: TextScores | None
    tasks: tuple[TaskScores, ...]
    notes: tuple[str, ...]
    context: int
    numerics_version: int
    aboard_version: str
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, and at the top what is asked for most; see `SCHEMA`.

        The figures of the text stand at the top by themselves, None where there are none:
        `perplexity`, `bits_per_byte`, `n_tokens`, and against a reference `kl_mean`, `kl_ci95`,
        `same_top_fraction`, `ppl_ratio`, `ppl_ratio_ci95`, `verdict`.
        """
        compared = self.text.comparison if self.text is not None else None
        top: dict[str, Any] = {"schema": SCHEMA}
        for name in ("perplexity", "perplexity_ci95", "bits_per_byte", "n_tokens"):
            top[name] = getattr(self.text, name, None)
        for name in _COMPARED:
            top[name] = getattr(compared, name, None)
        return top | dataclasses.asdict(self)


_COMPARED = (
    "kl_mean",
    "kl_ci95",
    "same_top_fraction",
    "same_top_ci95",
    "ppl_ratio",
    "ppl_ratio_ci95",
    "worst_drop",
    "flips_lost",
    "flips_gained",
    "verdict",
)
