"""Hidden states of windows of tokens, taken through a model layer by layer.

What measures a model needs no more of it in memory than one layer and its head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.gram import Float32
from aboard.quantize.quantizing import LayerEngine, OpenLayer
from aboard.quantize.rounding import Bytes, Packed, Source, whole

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]


class HeadEngine(Protocol):
    """The head of a model by itself; see `aboard.engine.head_engine`."""

    def put(self, format: str, pieces: Iterable[Bytes]) -> None:
        """Give it its weights, or others; some rows at a time."""
        ...

    def remember(self, inputs: Float32, *, often: bool = True) -> None:
        """Take it as it is, and what goes into it, for what others are compared with, `often`."""
        ...

    def divergence(self, inputs: Float32) -> Float64:
        """KL(what is remembered || this head) of each token in nats."""
        ...


OpenHead = Callable[[DecoderModel], HeadEngine]


def embed(model: DecoderModel, windows: Ids, rows_of: Callable[[Ids], Float32]) -> Float32:
    """What the tokens of `windows`, (B, T), begin as: (B, T, D) float32.

    `rows_of` gives the rows of the embedding of some ids, (n,), ascending: (n, D) float32.
    """
    ids, places = np.unique(windows, return_inverse=True)
    rows = rows_of(ids.astype(np.int32))
    if model.embedding_scale != 1.0:
        rows = rows * np.float32(model.embedding_scale)
    return np.ascontiguousarray(rows[places.reshape(windows.shape)], np.float32)


def rows_of_source(source: Source, name: str) -> Callable[[Ids], Float32]:
    """Rows of a tensor of `source`, read one by one."""
    return lambda ids: np.concatenate([source.rows(name, i, i + 1) for i in ids.tolist()])


def filled(layer: LayerEngine, tensors: Packed) -> LayerEngine:
    """`layer`, given all of its tensors."""
    for name in layer.tensors:
        layer.put(name, *whole(tensors, name))
    return layer


def end_of(layer: LayerEngine, hidden: Float32, scored: npt.NDArray[np.intp]) -> Float32:
    """What goes into the head at the places `scored` of (B, T, D) `hidden`, (n, D) float32."""
    return np.concatenate(list(layer.inputs("end", False, hidden)))[scored]


def compare(
    model: DecoderModel,
    reference: Source,
    other: Source,
    windows: Ids,
    *,
    open_layer: OpenLayer,
    open_head: OpenHead,
    progress: Progress = silent,
) -> Float64:
    """KL(reference || other) of each token of `windows`, (B, T) float64, in nats.

    Both go through the model side by side, a layer of each at a time.

    Parameters
    ----------
    model : DecoderModel
        What both are.
    reference, other : Source
        Their weights, by the same names.
    windows : (B, T) int32
        Tokens.
    open_layer, open_head : callable
        Give the engines of a layer and of the head.
    progress : callable
        Called as ``("compare", done_layers, total_layers)``.

    Raises
    ------
    CheckpointError
        A weight can't be read.
    NumericalError
        A logit isn't finite.
    """
    everywhere = np.arange(windows.size)
    ends: dict[str, Float32] = {}
    sides: Mapping[str, Source] = {"reference": reference, "other": other}
    hidden = {
        side: embed(model, windows, rows_of_source(source, model.embedding.name))
        for side, source in sides.items()
    }
    n_layers = len(model.layers)
    for index in range(n_layers):
        for side, source in sides.items():
            layer = filled(open_layer(model, index), source)
            layer.run("mix", hidden[side])
            layer.run("feed", hidden[side])
            if index == n_layers - 1:
                ends[side] = end_of(layer, hidden[side], everywhere)
            del layer  # before there is another, or a head
        progress("compare", index + 1, n_layers)
    head = open_head(model)
    head.put(*reference.pieces(model.head.name))
    head.remember(ends["reference"], often=False)
    head.put(*other.pieces(model.head.name))
    return head.divergence(ends["other"]).reshape(windows.shape)
