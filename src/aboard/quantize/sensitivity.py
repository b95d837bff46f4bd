"""What each part of a model costs when it alone is rounded, measured by KL divergence.

The base is the model at 8 bits a weight, near enough to lossless. A part is rounded in it, to the
nearest codes on scales for the inputs that matter; the hidden states of a few windows of tokens,
as they are at the beginning of its half of a layer, go on from there to the logits. What other
formats cost follows by their errors, weighted by the moments of the inputs: near one point, losses
are proportional to squared errors, and losses of different parts add up (arXiv:2411.17525).

Any change at all, be it of one bit, makes activations round to other int8 numbers from there on.
That alone moves the logits: by 0.006 nats in SmolLM2-135M, ten times what a part at 4.5 bits
costs. So this floor is measured, too, and taken off, and errors of a part are multiplied before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.formats import bits_of
from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.calibration import Calibration
from aboard.quantize.format_losses import Sensitivity, errors_of_formats, rounded_weights
from aboard.quantize.moments import Moments, moments_of_all
from aboard.quantize.parts import Part, fitting_formats
from aboard.quantize.passes import (
    Ids,
    OpenHead,
    embed,
    end_of,
    filled,
    rows_of_packed,
)
from aboard.quantize.quantizing import LayerEngine, OpenLayer
from aboard.quantize.rounding import Bytes, Source

ANCHOR_BITS = 4.5
"""Of the format that is measured, or the nearest there is; the others by their errors."""
AMPLIFIED = 2.5
"""By how much errors of a part are multiplied, squared in what they cost."""
N_TOKENS, WINDOW = 768, 128
_SCORED_FROM, _SCORED_EVERY = 16, 3
_BASE_BITS = 8.5
_HEAD_LAYERS = 4  # about as many layers take as long as a comparison of logits
_N_FLOORS = 8  # layers at which the floor is measured; between them it is a line
_TREMBLE = 5e-3  # of a hidden state: rounds activations anew, and does little else
_SURE = 0.05  # of what was measured, is the part's own whatever the floor
_FLOOR = "floor"


class Figures(Protocol):
    """Keeps what was measured; see `aboard.evaluate.unfinished.Unfinished`."""

    def known(self, of: str, number: int) -> Any | None:
        """What was measured before, if it was."""
        ...

    def add(self, of: str, number: int, figures: object) -> None:
        """Keep a figure."""
        ...


def sample_windows(calibration: Calibration, n_tokens: int = N_TOKENS) -> Ids:
    """The beginnings of windows from all over the calibration, about `n_tokens`: (B, T) int32.

    None that is held out: on those the finished model is compared.
    """
    windows = calibration.windows[: -calibration.n_held_out]
    length = min(WINDOW, windows.shape[1])
    n_windows = min(windows.shape[0], max(1, n_tokens // length))
    chosen = np.arange(n_windows) * windows.shape[0] // n_windows
    return np.ascontiguousarray(windows[chosen, :length])


def anchors_of(part: Part) -> list[str]:
    """The format by which a part is measured first."""
    there = [name for name in fitting_formats(part.columns) if name in formats.searchable()]
    nearest = sorted(there, key=lambda name: abs(bits_of(name) - ANCHOR_BITS))
    return nearest[:1] or fitting_formats(part.columns)[:1]


class Measuring:
    """A model at 8 bits a weight, in which parts are rounded to see what it does.

    Parameters
    ----------
    model : DecoderModel
        What it is.
    source : Source
        Its weights.
    windows : (B, T) int32
        Tokens; every third is scored.
    open_layer, open_head : callable
        Give the engines of a layer and of the head.
    figures : Figures
        What was measured before, and takes what is.
    threads : int
        That round.
    amplified : float
        By how much errors are multiplied where a part is measured in its `anchors_of`.
    has_floor : bool
        Whether the floor is taken off; False to compare with whole models.
    """

    def __init__(
        self,
        model: DecoderModel,
        source: Source,
        windows: Ids,
        *,
        open_layer: OpenLayer,
        open_head: OpenHead,
        figures: Figures,
        threads: int = 1,
        amplified: float = AMPLIFIED,
        has_floor: bool = True,
    ) -> None:
        self._amplified, self._has_floor = amplified, has_floor
        self._floors: npt.NDArray[np.float64] | None = None
        self._model, self._source, self._windows = model, source, windows
        self._figures, self._threads = figures, threads
        self._scored = _scored(windows)
        self._open_layer = open_layer
        self._head = open_head(model)
        self._layers: list[LayerEngine] = []
        self._embedding: tuple[str, Bytes] | None = None

    def measure(
        self, wanted: Mapping[Part, Sequence[str]], progress: Progress = silent
    ) -> list[Sensitivity]:
        """What the formats of `wanted` cost each part, and the errors of all formats.

        Parameters
        ----------
        wanted : mapping of Part to sequence of str
            Parts and the formats in which they are tried.
        progress : callable
            Called as ``("measure", done_layers, total_layers)``.

        Raises
        ------
        CheckpointError
            A weight can't be read.
        NumericalError
            The model computes no numbers.
        """
        found = {part: self._known(part, names) for part, names in wanted.items()}
        missing = {
            part: [name for name in names if name not in found[part].measured]
            for part, names in wanted.items()
        }
        missing = {
            part: names for part, names in missing.items() if names or not found[part].errors
        }
        if missing:
            steps = _Steps(self._model, missing, progress)
            self._open()
            self._floors = self._floor_of_layers()
            for part, errors, losses in self._walk(missing, steps):
                found[part].errors |= errors
                found[part].measured |= losses
                self._figures.add(part.label, 0, errors)
                self._figures.add(part.label, 1, found[part].measured)
        return list(found.values())

    @property
    def floor(self) -> float:
        """What any change of the first layer costs, in nats a token; after `measure`."""
        found = self._figures.known(_FLOOR, 0) if self._floors is None else self._floors
        return float(found[0]) if found is not None else 0.0

    def _known(self, part: Part, names: Sequence[str]) -> Sensitivity:
        errors = self._figures.known(part.label, 0) or {}
        measured = self._figures.known(part.label, 1) or {}
        if measured and not set(fitting_formats(part.columns)) <= set(errors):
            return Sensitivity(part)
        return Sensitivity(part, dict(errors), dict(measured))

    def _open(self) -> None:
        """Load the base, and remember what its logits are."""
        if self._layers:
            return
        self._layers = [
            filled(self._open_layer(self._model, index), self._base)
            for index in range(len(self._model.layers))
        ]
        self._head.put(*self._base(self._model.head.name))
        hidden = self._embedded(None)
        self._run_from(0, "mix", hidden)
        self._head.remember(end_of(self._layers[-1], hidden, self._scored))

    def _floor_of_layers(self) -> npt.NDArray[np.float64]:
        """What it costs that activations are rounded anew from each layer on, in nats a token."""
        if self._floors is not None:
            return self._floors
        n_layers = len(self._layers)
        if not self._has_floor:
            return np.zeros(n_layers)
        places = np.unique(np.linspace(0, n_layers - 1, _N_FLOORS).round().astype(np.int64))
        found = self._figures.known(_FLOOR, 0)
        if found is None:
            found = []
            random = np.random.default_rng(0)
            hidden = self._embedded(None)
            for index, layer in enumerate(self._layers):
                if index in places:
                    noise = random.standard_normal(hidden.shape, np.float32)
                    trial = hidden * (1 + np.float32(_TREMBLE) * noise)
                    self._run_from(index, "mix", trial)
                    end = end_of(self._layers[-1], trial, self._scored)
                    found.append(float(self._head.divergence(end).mean()))
                layer.run("mix", hidden)
                layer.run("feed", hidden)
            self._figures.add(_FLOOR, 0, found)
        floors: npt.NDArray[np.float64] = np.interp(np.arange(n_layers), places, found)
        return floors

    def _own(self, part: Part | None, divergence: float, amplified: float) -> float:
        """What a part costs by itself, of what was measured of it; None: an embedding."""
        assert self._floors is not None
        floor = float(self._floors[0 if part is None else part.layer])
        if part is not None and part.stage is not None and part.stage.half == "end":
            floor = 0.0  # no activation is behind it
        return max(divergence - floor, _SURE * divergence) / amplified**2

    def _walk(
        self, missing: Mapping[Part, Sequence[str]], steps: _Steps
    ) -> Iterator[tuple[Part, dict[str, float], dict[str, float]]]:
        """Parts, the errors of their formats and what they cost, in the order of the layers."""
        hidden = self._embedded(None)
        embedding = self._model.embedding.name
        for part in (part for part in missing if part.stage is None):
            errors = errors_of_formats(self._source, part, None, self._threads)
            losses = {name: self._loss_of_embedding(name, None, steps) for name in missing[part]}
            yield part, errors, losses
        for index, layer in enumerate(self._layers):
            here = [part for part in missing if part.layer == index and part.stage is not None]
            for half in ("mix", "feed", "end"):
                for part in here:
                    stage = part.stage
                    if stage is None or stage.half != half:
                        continue
                    pieces = layer.inputs(stage.half, stage.inner, hidden)
                    moments = moments_of_all(pieces, part.tensors[0])
                    losses = {}
                    for name in missing[part]:
                        if half == "end" and part.tensors == (embedding,):
                            losses[name] = self._loss_of_embedding(name, moments, steps)
                        else:
                            losses[name] = self._loss(part, name, moments, hidden, steps)
                    yield (
                        part,
                        errors_of_formats(self._source, part, moments, self._threads),
                        losses,
                    )
                if half != "end":
                    layer.run(half, hidden)

    def _loss(
        self,
        part: Part,
        format: str,
        moments: Moments,
        hidden: npt.NDArray[np.float32],
        steps: _Steps,
    ) -> float:
        """What it costs to round `part`, from what comes into its half of the layer, `hidden`."""
        assert part.stage is not None
        if part.stage.half == "end":
            self._head.put(*self._rounded(part.tensors[0], format, moments))
            found = self._divergence(hidden, steps, part)
            self._head.put(*self._base(part.tensors[0]))
            return self._own(part, found, 1.0)
        layer = self._layers[part.layer]
        amplified = self._amplified if format in anchors_of(part) else 1.0
        for name in part.tensors:
            layer.put(name, *self._rounded(name, format, moments, amplified))
        trial = hidden.copy()
        self._run_from(part.layer, part.stage.half, trial)
        for name in part.tensors:
            layer.put(name, *self._base(name))
        return self._own(part, self._divergence(trial, steps, part), amplified)

    def _loss_of_embedding(self, format: str, moments: Moments | None, steps: _Steps) -> float:
        """What it costs to round the embedding; with `moments`, it is the head, too."""
        name = self._model.embedding.name
        rounded = self._rounded(name, format, moments)
        trial = self._embedded(rounded)
        self._run_from(0, "mix", trial)
        if moments is not None:
            self._head.put(*rounded)
        found = self._divergence(trial, steps, None)
        if moments is not None:
            self._head.put(*self._base(name))
        return self._own(None, found, 1.0)

    def _run_from(self, index: int, half: str, hidden: npt.NDArray[np.float32]) -> None:
        if half == "mix":
            self._layers[index].run("mix", hidden)
        self._layers[index].run("feed", hidden)
        for layer in self._layers[index + 1 :]:
            layer.run("mix", hidden)
            layer.run("feed", hidden)

    def _divergence(
        self, hidden: npt.NDArray[np.float32], steps: _Steps, part: Part | None
    ) -> float:
        found = self._head.divergence(end_of(self._layers[-1], hidden, self._scored))
        steps.done(part)
        return float(found.mean())

    def _embedded(self, packed: tuple[str, Bytes] | None) -> npt.NDArray[np.float32]:
        name = self._model.embedding.name
        if packed is None:
            packed = self._embedding = self._embedding or self._base(name)
        form, octets = packed
        return embed(
            self._model,
            self._windows,
            rows_of_packed(form, octets, self._source.shape(name)[0]),
        )

    def _base(self, name: str) -> tuple[str, Bytes]:
        """A tensor of the base: as it is where that is small, at 8 bits otherwise."""
        form, packed = self._source.packed(name)
        shape = self._source.shape(name)
        if len(shape) < 2 or bits_of(form) <= _BASE_BITS or shape[-1] % 32:
            return form, packed
        weights = self._source.rows(name, 0, shape[0])
        return "Q8_0", formats.encode("Q8_0", weights).reshape(-1)

    def _rounded(
        self, name: str, format: str, moments: Moments | None, amplified: float = 1.0
    ) -> tuple[str, Bytes]:
        """A tensor in a format, or with `amplified` times the errors of it in float32."""
        weights = self._source.rows(name, 0, self._source.shape(name)[0])
        if amplified != 1.0:
            off = rounded_weights(weights, format, moments, self._threads) - weights
            return "F32", (weights + np.float32(amplified) * off).reshape(-1).view(np.uint8)
        if format not in formats.searchable():
            return format, formats.encode(format, weights).reshape(-1)
        importances = None if moments is None else moments.importances
        return format, formats.round_to(
            format, weights, importances, threads=self._threads
        ).reshape(-1)


class _Steps:
    """How far measuring is, in layers that were run."""

    def __init__(
        self, model: DecoderModel, wanted: Mapping[Part, Sequence[str]], progress: Progress
    ) -> None:
        self._n_layers, self._progress = len(model.layers), progress
        self._embedding = model.embedding.name
        self._done = 0
        self._total = sum(self._cost(part) * len(names) for part, names in wanted.items())
        progress("measure", 0, self._total)

    def _cost(self, part: Part | None) -> int:
        if part is None or part.tensors == (self._embedding,):
            return self._n_layers + _HEAD_LAYERS
        if part.stage is not None and part.stage.half == "end":
            return _HEAD_LAYERS
        return self._n_layers - part.layer + _HEAD_LAYERS

    def done(self, part: Part | None) -> None:
        """Tell that a part, or the embedding, was tried."""
        self._done += self._cost(part)
        self._progress("measure", self._done, self._total)


def _scored(windows: Ids) -> npt.NDArray[np.intp]:
    """The places of the tokens whose logits are compared, in the flat windows."""
    places = np.arange(windows.size).reshape(windows.shape)
    first = _SCORED_FROM if windows.shape[1] > 2 * _SCORED_FROM else 0
    return places[:, first::_SCORED_EVERY].reshape(-1)
