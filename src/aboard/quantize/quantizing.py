"""A decoder quantised layer by layer, in the order in which tokens go through it.

The inputs of each matrix are those of the model as it is quantised so far, within the layer, too:
queries, keys and values are rounded before what attention gives is looked at. So errors of earlier
matrices are made up for by later ones. One layer's weights are in memory at a time, and the hidden
states of the calibration tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.calibration import Calibration
from aboard.quantize.gram import Float32
from aboard.quantize.keeping import Keeping
from aboard.quantize.moments import Moments, moments_of
from aboard.quantize.rounding import (
    Bytes,
    Method,
    Rounding,
    Source,
    decoded,
    round_tensors,
    rounded_weights,
    whole,
)
from aboard.quantize.stages import Half, Stage, stages_of

_ROWS_AT_ONCE = 1 << 14


class LayerEngine(Protocol):
    """One layer of a model by itself; see `aboard.engine.layer_engine`."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the tensors that it takes."""
        ...

    def put(self, name: str, format: str, packed: Bytes) -> None:
        """Give it a tensor, or another in place of one."""
        ...

    def inputs(self, half: Half, inner: bool, hidden: Float32) -> Iterator[Float32]:
        """What goes into the matrices of a stage, a few sequences at a time, (n, K) float32."""
        ...

    def run(self, half: Half, hidden: Float32) -> None:
        """Take `hidden`, (B, T, D) float32, through a half of the layer, in place."""
        ...


OpenLayer = Callable[[DecoderModel, int], LayerEngine]


def quantize_layers(
    model: DecoderModel,
    source: Source,
    assignment: Mapping[str, str],
    *,
    calibration: Calibration | None,
    open_layer: OpenLayer,
    keeping: Keeping,
    method: Method | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> list[Rounding]:
    """Round every matrix that `assignment` names and keep it in `keeping`; what became of each.

    Parameters
    ----------
    model : DecoderModel
        What is quantised.
    source : Source
        Its weights.
    assignment : mapping of str to str
        Names of its matrices and their formats. A tensor that isn't named stays as it is.
    calibration : Calibration, optional
        The tokens whose errors count. None: nearest codes.
    open_layer : callable
        Gives the engine of a layer.
    keeping : Keeping
        Takes the finished tensors; those that it has already aren't made again.
    method : Method, optional
        How they are rounded.
    progress : callable
        Called as ``("quantize", done_weights, total_weights)``.

    Raises
    ------
    CheckpointError
        A weight can't be read.
    UsageError
        A format can't be written, or holds no such weight.
    NumericalError
        The model computes no numbers on the calibration text.
    """
    method = method or Method()
    if not method.needs_inputs:
        calibration = None
    task = _Task(model, source, dict(assignment), keeping, method, threads, progress)
    tied = model.head.name == model.embedding.name
    if calibration is None:
        for name in assignment:
            task.round([name], None)
        return task.told
    # A head that is the embedding is rounded last, for the hidden states that it is multiplied
    # with. What tokens begin as is then that of nearest codes, which are about as far off.
    hidden = _embedded(task, calibration, provisional=tied)
    layer: LayerEngine | None = None
    for index, described in enumerate(model.layers[: _last_layer(model, assignment) + 1]):
        layer = open_layer(model, index)
        for name in layer.tensors:
            layer.put(name, *task.current(name))
        for stage in stages_of(described):
            _round_stage(task, layer, stage, hidden, calibration)
            if stage.inner:
                layer.run(stage.half, hidden)
    if layer is not None:
        _round_stage(task, layer, Stage("end", False, (model.head.name,)), hidden, calibration)
    return task.told


def _last_layer(model: DecoderModel, assignment: Mapping[str, str]) -> int:
    """The last layer of which something is to be rounded or whose outputs must be known."""
    if model.head.name in assignment:
        return len(model.layers) - 1
    named = (
        index
        for index, layer in enumerate(model.layers)
        if any(name in assignment for stage in stages_of(layer) for name in stage.tensors)
    )
    return max(named, default=-1)


class _Task:
    """What all steps share."""

    def __init__(
        self,
        model: DecoderModel,
        source: Source,
        assignment: dict[str, str],
        keeping: Keeping,
        method: Method,
        threads: int,
        progress: Progress,
    ) -> None:
        self.model = model
        self.source = source
        self.assignment = assignment
        self.keeping = keeping
        self.method = method
        self.threads = threads
        self.told: list[Rounding] = []
        self._progress = progress
        self._done = 0
        self._total = sum(math.prod(source.shape(name)) for name in assignment)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that are to be rounded still; the others are told of."""
        left = []
        for name in (name for name in names if name in self.assignment):
            kept = self.keeping.get(name)
            if kept is None:
                left.append(name)
            else:
                self._finished(kept[0])
        return left

    def round(self, names: Sequence[str], moments: Moments | None) -> None:
        """Round and keep those of `names` that aren't finished."""
        wanted = {name: self.assignment[name] for name in self.missing(names)}
        made = round_tensors(self.source, wanted, moments, self.method, threads=self.threads)
        for rounding, packed in made:
            self.keeping.put(rounding, packed)
            self._finished(rounding)

    def current(self, name: str) -> tuple[str, Bytes]:
        """Format and bytes of a tensor: as it is finished, or of the source."""
        kept = self.keeping.get(name) if name in self.assignment else None
        return whole(self.source, name) if kept is None else (kept[0].format, kept[1])

    def _finished(self, rounding: Rounding) -> None:
        self.told.append(rounding)
        self._done += math.prod(self.source.shape(rounding.name))
        self._progress("quantize", self._done, self._total)


def _round_stage(
    task: _Task, layer: LayerEngine, stage: Stage, hidden: Float32, calibration: Calibration
) -> None:
    """Round the matrices of a stage and put them into the layer."""
    unfinished = [
        name for name in stage.tensors if name in task.assignment and not task.keeping.has(name)
    ]
    moments = None
    if unfinished:
        first_held_out = hidden.shape[0] - calibration.n_held_out
        pieces = (
            (piece, held_out)
            for held_out, some in (
                (False, hidden[:first_held_out]),
                (True, hidden[first_held_out:]),
            )
            for piece in layer.inputs(stage.half, stage.inner, some)
        )
        moments = moments_of(
            pieces,
            unfinished[0],
            with_gram=task.method.rounding == "gptq",
            threads=task.threads,
        )
        if task.model.embedding.name in unfinished:
            moments.take_embedding()
    task.round(stage.tensors, moments)
    if stage.half != "end":
        for name in unfinished:
            layer.put(name, *task.current(name))


def _embedded(task: _Task, calibration: Calibration, *, provisional: bool) -> Float32:
    """What the tokens begin as, (B, T, D) float32; the embedding is rounded, for good or not."""
    name = task.model.embedding.name
    if not provisional:
        task.round([name], None)
    form = task.assignment.get(name)
    ids, places = np.unique(calibration.windows, return_inverse=True)
    rows = np.empty((ids.size, task.model.width), np.float32)
    kept = None if provisional else task.keeping.get(name)
    for first in range(0, ids.size, _ROWS_AT_ONCE):
        some = ids[first : first + _ROWS_AT_ONCE]
        if kept is not None:
            found = decoded(kept[0].format, kept[1].reshape(task.source.shape(name)[0], -1)[some])
        else:
            found = np.concatenate([task.source.rows(name, i, i + 1) for i in some.tolist()])
            if form is not None:
                found = rounded_weights(form, found, threads=task.threads)
        rows[first : first + _ROWS_AT_ONCE] = found
    if task.model.embedding_scale != 1.0:
        rows *= np.float32(task.model.embedding_scale)
    return np.ascontiguousarray(rows[places.reshape(calibration.windows.shape)])
