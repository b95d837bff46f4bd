"""A text before the models see it: how long it is, and whether it may be used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import UsageError
from aboard.evaluate.text_windows import Text, windows
from aboard.overlap import OverlapCount, RunSample

MAX_SHARED = 0.01
"""So much of a text may also stand in the calibration text: phrases that everybody writes."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a text holds.

    Attributes
    ----------
    sha256, tokens_sha256 : str
        The hashes of its bytes and of its windows' tokens.
    n_tokens, n_sequences : int
        Tokens to score, and windows.
    shared : mapping of str to float
        By the names of models, about which part of it also stands in their calibration texts.
    """

    sha256: str
    tokens_sha256: str
    n_tokens: int
    n_sequences: int
    shared: Mapping[str, float]


def survey_text(
    text: Text,
    tokenizer: Tokenizer,
    size: int,
    most: int | None,
    calibrated: Sequence[tuple[str, RunSample]],
) -> Survey:
    """Read and tokenize a text once.

    Parameters
    ----------
    text, tokenizer, size
        As for `windows`.
    most : int or None
        At most so many windows.
    calibrated : sequence of (str, RunSample)
        Names of models, and samples of the texts they were calibrated on.

    Raises
    ------
    UsageError
        It is too short, shares passages with a calibration text, or can't be read.
    """
    digest, n_tokens, n_sequences = hashlib.sha256(), 0, 0
    counts = [(name, OverlapCount(sample)) for name, sample in calibrated]
    for each in islice(windows(text, tokenizer, size), most):
        ids = np.array(each.ids, "<i4")
        digest.update(len(ids).to_bytes(8, "little") + ids.tobytes())
        n_tokens += each.n_scored
        n_sequences += 1
        if counts:
            text_of_window = tokenizer.decode(each.ids, continues=True)
            for _, count in counts:
                count.add(text_of_window)
    if n_sequences == 0:
        raise UsageError(
            f"{text.name}: has fewer than two tokens; the first only predicts the second",
            hint="Give a longer text: 32 sequences of 512 tokens are about 70 kB of English.",
        )
    for name, count in counts:
        _refuse_shared(text.name, name, count)
    shared = {name: count.fraction for name, count in counts}
    return Survey(text.sha256(), digest.hexdigest(), n_tokens, n_sequences, shared)


def _refuse_shared(text: str, model: str, count: OverlapCount) -> None:
    if count.fraction > MAX_SHARED:
        raise UsageError(
            f"{text}: about {count.fraction:.0%} of it was used to calibrate {model}: figures on "
            "it would flatter the model",
            hint="Evaluate on a text that the model has not seen.",
        )
