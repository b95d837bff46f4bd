"""One model, or a reference and a model side by side, scoring the same tokens block by block."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

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
    model : Model
        What is evaluated.
    reference : Model, optional
        What it is compared with, of the same vocabulary.
    """

    def __init__(self, model: Model, reference: Model | None = None) -> None:
        self._open = ExitStack()
        self._parts = model.threads
        self._pool = self._open.enter_context(ThreadPoolExecutor(self._parts, "aboard-scores"))
        self._models = [model] if reference is None else [model, reference]
        self._streams = [self._open.enter_context(LogitStream(each)) for each in self._models]

    def close(self) -> None:
        """Give the caches' memory back."""
        self._open.close()

    def window(self, window: Window) -> WindowScores:
        """What the models say of a window.

        Raises
        ------
        NumericalError
            A model computes NaN or infinity instead of logits.
        """
        given, following = window.ids[:-1], np.array(window.ids[1:], np.int32)
        if len(self._models) == 1:
            own = self._alone(0, given, following, 0)
            right = (own.top == following) * MODEL_RIGHT
            return WindowScores(
                n_bytes=window.n_bytes,
                losses=own.losses,
                reference_losses=None,
                divergence=None,
                marks=right.astype(np.uint8),
            )
        pair = self._together(given, following)
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

    def continuation(self, which: int, ids: Sequence[int], n_given: int) -> tuple[float, bool]:
        """The log-probability of ids[n_given:], and whether each of them is the likeliest.

        Parameters
        ----------
        which : int
            0: the model, 1: the reference.
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

    def _together(self, given: Sequence[int], following: np.ndarray) -> PairScores:
        pairs = []
        own, reference = (stream.blocks(given) for stream in self._streams)
        for (begin, rows), (_, theirs) in zip(own, reference, strict=True):
            tokens = following[begin : begin + len(rows)]
            pairs.append(pair_scores(theirs, rows, tokens, self._pool, self._parts))
        self._require_finite(0, [pair.model for pair in pairs])
        self._require_finite(1, [pair.reference for pair in pairs])
        return PairScores(
            reference=_joined([pair.reference for pair in pairs]),
            model=_joined([pair.model for pair in pairs]),
            divergence=np.concatenate([pair.divergence for pair in pairs]),
        )

    def _require_finite(self, which: int, parts: Sequence[RowScores]) -> None:
        if any((part.top < 0).any() for part in parts):
            raise NumericalError(
                f"{self._models[which].path}: the model computes NaN or infinity instead of logits",
                hint="Its weights are damaged or beyond float32: get or convert the file again.",
            )


def _joined(parts: Sequence[RowScores]) -> RowScores:
    return RowScores(
        losses=np.concatenate([part.losses for part in parts]),
        top=np.concatenate([part.top for part in parts]),
    )
