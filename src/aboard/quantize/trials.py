"""Parts of a model rounded by themselves in the model at 8 bits, and what the logits then are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.models.decoder import DecoderModel
from aboard.quantize.eight_bits import EightBits
from aboard.quantize.gram import Float32, Gram
from aboard.quantize.moments import gram_of
from aboard.quantize.parts import Part
from aboard.quantize.passes import HeadEngine, Ids, end_of
from aboard.quantize.quantizing import LayerEngine
from aboard.quantize.rounding import (
    Bytes,
    Source,
    joined,
    rounded_blocks,
    rounded_weights,
    row_runs,
    whole,
)


@dataclass(slots=True)
class Trial:
    """What a change of the base made of its hidden states, on their way to the logits.

    Attributes
    ----------
    part : Part or None
        What was rounded; None: nothing was, the hidden states themselves were disturbed.
    format : str
        To what.
    amplified : float
        By how much its errors were multiplied.
    hidden : (B, T, D) float32
        As far as they are.
    importances : (D,) float32, optional
        By which the head is to be rounded likewise, where it is the embedding.
    """

    part: Part | None
    format: str
    amplified: float
    hidden: Float32
    importances: Float32 | None = None


class Trials:
    """Makes trials and judges them, by the logits of some tokens.

    Parameters
    ----------
    model : DecoderModel
        What is tried.
    source : Source
        Its weights.
    base : EightBits
        It at 8 bits.
    head : HeadEngine
        The engine of its head, which is taken.
    windows : (B, T) int32
        The tokens.
    scored : (n,) intp
        The places in the flat windows whose logits count.
    threads : int
        That round.
    """

    def __init__(
        self,
        model: DecoderModel,
        source: Source,
        base: EightBits,
        head: HeadEngine,
        windows: Ids,
        scored: npt.NDArray[np.intp],
        threads: int,
    ) -> None:
        self._model, self._source, self._base, self._head = model, source, base, head
        self._windows, self._scored, self._threads = windows, scored, threads
        self._end: list[Float32] = []

    def remember(self, hidden: Float32) -> None:
        """Take the base's hidden states at the end as what trials are compared with."""
        last = self._base.layer(len(self._model.layers) - 1)
        self._end = list(last.inputs("end", False, hidden))
        self._put_base_head()
        self._head.remember(self._scored_end)

    @property
    def gram_of_head(self) -> Gram:
        """Of the inputs of the base's head."""
        return gram_of(self._end, self._model.head.name, threads=self._threads)

    def of_layer(
        self,
        part: Part,
        format: str,
        importances: Float32,
        amplified: float,
        layer: LayerEngine,
        hidden: Float32,
    ) -> Trial:
        """A part of `layer` rounded: what half of the layer it is in then makes of `hidden`."""
        assert part.stage is not None
        for name in part.tensors:
            form, pieces = self._rounded(name, format, importances, amplified)
            layer.put(name, form, joined(form, self._source.shape(name), pieces))
        trial = Trial(part, format, amplified, hidden.copy())
        layer.run(part.stage.half, trial.hidden)
        for name in part.tensors:
            layer.put(name, *whole(self._base, name))
        return trial

    def of_embedding(self, part: Part, format: str, importances: Float32 | None) -> Trial:
        """The embedding rounded; by `importances` where it is the head, too."""

        def rounded(rows: Float32) -> Float32:
            return rounded_weights(format, rows, importances, threads=self._threads)

        hidden = self._base.embedded(self._windows, rounded)
        return Trial(part, format, 1.0, hidden, importances)

    def divergence(self, trial: Trial) -> float:
        """The mean KL divergence from the base of a trial at the end, in nats a token."""
        last = self._base.layer(len(self._model.layers) - 1)
        end = end_of(last, trial.hidden, self._scored)
        if trial.importances is None:
            return float(self._head.divergence(end).mean())
        return self._with_head(trial.format, trial.importances, end)

    def divergence_of_head(self, format: str, importances: Float32) -> float:
        """The mean KL divergence where the head alone is rounded, in nats a token."""
        return self._with_head(format, importances, self._scored_end)

    @property
    def _scored_end(self) -> Float32:
        return np.concatenate(self._end)[self._scored]

    def _with_head(self, format: str, importances: Float32, end: Float32) -> float:
        self._head.put(*self._rounded(self._model.head.name, format, importances, 1.0))
        found = float(self._head.divergence(end).mean())
        self._put_base_head()
        return found

    def _put_base_head(self) -> None:
        self._head.put(*self._base.pieces(self._model.head.name))

    def _rounded(
        self, name: str, format: str, importances: Float32, amplified: float
    ) -> tuple[str, Iterator[Bytes]]:
        """A tensor in a format, or with `amplified` times the errors of it in float32."""

        def piece(first: int, last: int) -> Bytes:
            weights = self._source.rows(name, first, last)
            if amplified != 1.0:
                off = rounded_weights(format, weights, importances, threads=self._threads) - weights
                return (weights + np.float32(amplified) * off).reshape(-1).view(np.uint8)
            blocks = rounded_blocks(format, weights, importances, threads=self._threads)
            return blocks.reshape(-1)

        runs = row_runs(self._source.shape(name))
        return "F32" if amplified != 1.0 else format, (piece(*run) for run in runs)
