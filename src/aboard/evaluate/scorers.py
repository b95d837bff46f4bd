"""One model, or models beside a reference, scoring the same tokens block by block."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.closing import Closing
from aboard.engine.logit_stream import LogitStream
from aboard.engine.model import Model
from aboard.engine.row_scores import PairScores, RowScores, pair_scores, row_scores
from aboard.errors import NumericalError
from aboard.evaluate.text_scores import MODEL_RIGHT, REFERENCE_RIGHT, SAME_TOP, WindowScores
from aboard.evaluate.text_windows import Window


class Scorer(Closing):
    """Scores windows and continuations; holds one KV cache for each model.

    Parameters
    ----------
    models : sequence of Model
        What is evaluated; more than one beside a reference only.
    reference : Model, optional
        What they are compared with, of the same vocabulary.

    Attributes
    ----------
    n_models : int
        How many are evaluated.
    has_reference : bool
        Whether they are compared.
    """

    def __init__(self, models: Sequence[Model], reference: Model | None = None) -> None:
        self._open = ExitStack()
        self._parts = models[0].threads
        self._pool = self._open.enter_context(ThreadPoolExecutor(self._parts, "aboard-scores"))
        self.n_models = len(models)
        self.has_reference = reference is not None
        self._models = [*models] if reference is None else [*models, reference]
        self._streams = [self._open.enter_context(LogitStream(each)) for each in self._models]

    @property
    def tokenizer(self) -> Tokenizer:
        """Of all models: they have one vocabulary."""
        return self._models[0].tokenizer

    def close(self) -> None:
        """Give the caches' memory back."""
        self._open.close()

    def window(self, window: Window) -> list[WindowScores]:
        """What each model says of a window; the reference computes it once.

        Raises
        ------
        NumericalError
            A model computes NaN or infinity instead of logits.
        """
        given, following = window.ids[:-1], np.array(window.ids[1:], np.int32)
        if not self.has_reference:
            own = self._alone(0, given, following, 0)
            right = (own.top == following) * MODEL_RIGHT
            alone = WindowScores(
                n_bytes=window.n_bytes,
                losses=own.losses,
                reference_losses=None,
                divergence=None,
                marks=right.astype(np.uint8),
            )
            return [alone]
        return [_compared(window, pair, following) for pair in self._together(given, following)]

    def continuation(self, which: int, ids: Sequence[int], n_given: int) -> tuple[float, bool]:
        """The log-probability of ids[n_given:], and whether each of them is the likeliest.

        Parameters
        ----------
        which : int
            The index of a model; that of the reference comes behind the last.
        ids : sequence of int
            The whole sequence.
        n_given : int
            At least 1.
        """
        following = np.array(ids[n_given:], np.int32)
        found = self._alone(which, ids[:-1], following, n_given - 1)
        return -float(found.losses.sum()), bool((found.top == following).all())

    def _alone(
        self, which: int, given: Sequence[int], following: np.ndarray, first: int
    ) -> RowScores:
        parts = []
        for begin, rows in self._streams[which].blocks(given, first=first):
            tokens = following[begin - first : begin - first + len(rows)]
            parts.append(row_scores(rows, tokens, self._pool, self._parts))
        self._require_finite(which, parts)
        return _joined(parts)

    def _together(self, given: Sequence[int], following: np.ndarray) -> list[PairScores]:
        pairs: list[list[PairScores]] = [[] for _ in range(self.n_models)]
        *own, reference = (stream.blocks(given) for stream in self._streams)
        for begin, theirs in reference:
            tokens = following[begin : begin + len(theirs)]
            for found, blocks in zip(pairs, own, strict=True):
                _, rows = next(blocks)  # of as many rows: all have one vocabulary
                found.append(pair_scores(theirs, rows, tokens, self._pool, self._parts))
        for which, found in enumerate(pairs):
            self._require_finite(which, [pair.model for pair in found])
            self._require_finite(-1, [pair.reference for pair in found])
        return [
            PairScores(
                reference=_joined([pair.reference for pair in found]),
                model=_joined([pair.model for pair in found]),
                divergence=np.concatenate([pair.divergence for pair in found]),
            )
            for found in pairs
        ]

    def _require_finite(self, which: int, parts: Sequence[RowScores]) -> None:
        if any((part.top < 0).any() for part in parts):
            raise NumericalError(
                f"{self._models[which].path}: the model computes NaN or infinity instead of logits",
                hint="Its weights are damaged or beyond float32: get or convert the file again.",
            )


def _compared(window: Window, pair: PairScores, following: np.ndarray) -> WindowScores:
    marks = (pair.model.top == pair.reference.top) * SAME_TOP
    marks = marks + (pair.model.top == following) * MODEL_RIGHT
    marks = marks + (pair.reference.top == following) * REFERENCE_RIGHT
    return WindowScores(
        n_bytes=window.n_bytes,
        losses=pair.model.losses,
        reference_losses=pair.reference.losses,
        divergence=pair.divergence,
        marks=marks.astype(np.uint8),
    )


def _joined(parts: Sequence[RowScores]) -> RowScores:
    return RowScores(
        losses=np.concatenate([part.losses for part in parts]),
        top=np.concatenate([part.top for part in parts]),
    )
