"""What each part of a model costs when it alone is rounded, measured by KL divergence.

The base is the model at 8 bits a weight, near enough to lossless. A part is rounded in it, to the
nearest codes on scales for the inputs that matter; the hidden states of a few windows of tokens,
as they are at the beginning of its half of a layer, go on from there to the logits. What other
formats cost follows by their errors, weighted by the moments of the inputs: near one point, losses
are proportional to squared errors, and losses of different parts add up (arXiv:2411.17525).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.calibration import Calibration
from aboard.quantize.moments import Moments, cost, moments_of
from aboard.quantize.parts import Part, bits_of, fitting_formats
from aboard.quantize.passes import (
    Ids,
    OpenHead,
    embed,
    end_of,
    filled,
    rows_of_packed,
)
from aboard.quantize.quantizing import LayerEngine, OpenLayer
from aboard.quantize.rounding import Bytes, Source, sample_rows

ANCHORS = (4.5, 3.4)
"""Bits of the formats that are measured, or the nearest there are; the others by their errors."""
N_TOKENS, WINDOW = 768, 128
_SCORED_FROM, _SCORED_EVERY = 16, 3
_ROWS = 64  # of a tensor, by which formats are compared
_BASE_BITS = 8.5
_HEAD_LAYERS = 4  # about as many layers take as long as a comparison of logits
_LEAST = 1e-12  # nats; of a part that changes nothing


class Figures(Protocol):
    """Keeps what was measured; see `aboard.evaluate.unfinished.Unfinished`."""

    def known(self, of: str, number: int) -> Any | None:
        """What was measured before, if it was."""
        ...

    def add(self, of: str, number: int, figures: object) -> None:
        """Keep a figure."""
        ...


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


def sample_windows(calibration: Calibration, n_tokens: int = N_TOKENS) -> Ids:
    """The beginnings of windows from all over the calibration, about `n_tokens`: (B, T) int32.

    None that is held out: on those the finished model is compared.
    """
    windows = calibration.windows[: -calibration.n_held_out]
    length = min(WINDOW, windows.shape[1])
    n_windows = min(windows.shape[0], max(1, n_tokens // length))
    chosen = np.arange(n_windows) * windows.shape[0] // n_windows
    return np.ascontiguousarray(windows[chosen, :length])


def anchors_of(part: Part, bits: Sequence[float] = ANCHORS) -> list[str]:
    """The formats by which a part is measured: those nearest to `bits`, each once."""
    there = [name for name in fitting_formats(part.columns) if name in formats.searchable()]
    nearest = [min(there, key=lambda name: abs(bits_of(name) - wanted)) for wanted in bits if there]
    return list(dict.fromkeys(nearest)) or fitting_formats(part.columns)[:1]


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
    ) -> None:
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
            for part, errors, losses in self._walk(missing, steps):
                found[part].errors |= errors
                found[part].measured |= losses
                self._figures.add(part.label, 0, errors)
                self._figures.add(part.label, 1, found[part].measured)
        return list(found.values())

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

    def _walk(
        self, missing: Mapping[Part, Sequence[str]], steps: _Steps
    ) -> Iterator[tuple[Part, dict[str, float], dict[str, float]]]:
        """Parts, the errors of their formats and what they cost, in the order of the layers."""
        hidden = self._embedded(None)
        embedding = self._model.embedding.name
        for part in (part for part in missing if part.stage is None):
            errors = self._errors(part, None)
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
                    moments = moments_of(_both(pieces), part.tensors[0])
                    losses = {}
                    for name in missing[part]:
                        if half == "end" and part.tensors == (embedding,):
                            losses[name] = self._loss_of_embedding(name, moments, steps)
                        else:
                            losses[name] = self._loss(part, name, moments, hidden, steps)
                    yield part, self._errors(part, moments), losses
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
            return found
        layer = self._layers[part.layer]
        for name in part.tensors:
            layer.put(name, *self._rounded(name, format, moments))
        trial = hidden.copy()
        self._run_from(part.layer, part.stage.half, trial)
        for name in part.tensors:
            layer.put(name, *self._base(name))
        return self._divergence(trial, steps, part)

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
        return found

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

    def _rounded(self, name: str, format: str, moments: Moments | None) -> tuple[str, Bytes]:
        weights = self._source.rows(name, 0, self._source.shape(name)[0])
        if format not in formats.searchable():
            return format, formats.encode(format, weights).reshape(-1)
        importances = None if moments is None else moments.importances
        return format, formats.round_to(
            format, weights, importances, threads=self._threads
        ).reshape(-1)

    def _errors(self, part: Part, moments: Moments | None) -> dict[str, float]:
        """The mean over the part's tensors of what each format does to their outputs."""
        names = fitting_formats(part.columns)
        found = dict.fromkeys(names, 0.0)
        for tensor in part.tensors:
            weights = sample_rows(self._source, tensor, _ROWS)
            whole = (_cost(weights, moments) or 1.0) * len(part.tensors)
            for name in names:
                rounded = _rounded_weights(weights, name, moments, self._threads)
                found[name] += _cost(weights - rounded, moments) / whole
        return found


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


def _both(
    pieces: Iterator[npt.NDArray[np.float32]],
) -> Iterator[tuple[npt.NDArray[np.float32], bool]]:
    """Each piece as tokens of either kind: there are no methods to choose here."""
    for piece in pieces:
        yield piece, False
        yield piece, True


def _rounded_weights(
    weights: npt.NDArray[np.float32], format: str, moments: Moments | None, threads: int
) -> npt.NDArray[np.float32]:
    """What some rows become in a format."""
    if format in formats.searchable():
        importances = None if moments is None else moments.importances
        grid = formats.find_grid(format, weights, importances, threads=threads)
        return grid.weights(formats.nearest_codes(grid, weights, threads=threads))
    form = formats.by_name(format)
    blocks = formats.encode(format, weights)
    return form.decode(blocks.reshape(weights.shape[0], -1, form.BLOCK_BYTES))


def _cost(weights: npt.NDArray[np.float32], moments: Moments | None) -> float:
    """The mean square of what weights, or errors of them, give; of themselves without moments."""
    if moments is None:
        return float(np.square(weights, dtype=np.float64).sum())
    return cost(weights, moments.gram)
