"""What each part of a model costs when it alone is rounded, measured by KL divergence.

The base is the model at 8 bits a weight, near enough to lossless. A part is rounded in it, to the
nearest codes on scales for the inputs that matter; the hidden states of a few windows of tokens,
as they are at the beginning of its half of a layer, go on from there to the logits. What other
formats cost follows by their errors, weighted by the moments of the inputs: near one point, losses
are proportional to squared errors, and losses of different parts add up (arXiv:2411.17525).

Any change at all, be it of one bit, makes activations round to other int8 numbers from there on.
That alone moves the logits: by 0.006 nats in SmolLM2-135M, ten times what a part at 4.5 bits
costs. So this floor is measured, too, and taken off, and errors of a part are multiplied before.

Many parts are on their way to the logits at once, so that one layer is in memory at a time, and is
read once for all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.formats import bits_of
from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.calibration import Calibration
from aboard.quantize.eight_bits import EightBits
from aboard.quantize.format_losses import Sensitivity, errors_of_formats
from aboard.quantize.gram import Float32
from aboard.quantize.moments import gram_of
from aboard.quantize.parts import Part, fitting_formats
from aboard.quantize.passes import Ids, OpenHead
from aboard.quantize.quantizing import LayerEngine, OpenLayer
from aboard.quantize.rounding import Source
from aboard.quantize.trials import Trial, Trials

ANCHOR_BITS = 4.5
"""Of the format that is measured, or the nearest there is; the others by their errors."""
AMPLIFIED = 2.5
"""By how much errors of a part are multiplied, squared in what they cost."""
N_TOKENS, WINDOW = 768, 128
TRIALS_AT_ONCE = 64
"""At most, walking through the base side by side: as many are lost by a kill."""
STATE_BYTES = 1 << 28
"""At most, of their hidden states."""
_SCORED_FROM, _SCORED_EVERY = 16, 3
_HEAD_HALVES = 8  # of layers take about as long as a comparison of logits
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
    trials_at_once, state_bytes : int
        How many parts are on their way at once, at most, and what their hidden states take. They
        decide on memory and time; no result depends on them.
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
        trials_at_once: int = TRIALS_AT_ONCE,
        state_bytes: int = STATE_BYTES,
    ) -> None:
        self._amplified, self._has_floor = amplified, has_floor
        self._model, self._source, self._windows = model, source, windows
        self._figures, self._threads = figures, threads
        self._kept: dict[Part, Sensitivity] = {}  # all that is known, asked for or not
        self._base = EightBits(model, source, open_layer)
        self._trials = Trials(
            model, source, self._base, open_head(model), windows, _scored(windows), threads
        )
        each = windows.size * model.width * np.dtype(np.float32).itemsize
        self._at_once = max(1, min(trials_at_once, state_bytes // each))
        self._floors: npt.NDArray[np.float64] | None = None

    def measure(
        self, wanted: Mapping[Part, Sequence[str]], progress: Progress = silent
    ) -> list[Sensitivity]:
        """What the formats of `wanted` cost each part, and the errors of all formats.

        What other formats were measured to cost before isn't told, though it may be known: what
        is made of it must not depend on what was asked before.

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
        kept = {part: self._known(part) for part in wanted}
        missing = {
            part: [name for name in names if name not in kept[part].measured]
            for part, names in wanted.items()
        }
        missing = {part: names for part, names in missing.items() if names or not kept[part].errors}
        if missing:
            steps = _Steps(self._n_halves_of(missing), progress)
            self._open()
            for part, errors, losses in self._tried(missing, steps):
                kept[part].errors |= errors
                kept[part].measured |= losses
                self._figures.add(part.label, 0, errors)
                self._figures.add(part.label, 1, kept[part].measured)
        return [
            Sensitivity(part, dict(known.errors), {name: known.measured[name] for name in names})
            for (part, known), names in zip(kept.items(), wanted.values(), strict=True)
        ]

    @property
    def floor(self) -> float:
        """What any change of the first layer costs, in nats a token; after `measure`."""
        found = self._figures.known(_FLOOR, 0) if self._floors is None else self._floors
        return float(found[0]) if found is not None else 0.0

    def _known(self, part: Part) -> Sensitivity:
        """What was measured of a part, by this run or an earlier one; it grows."""
        if part not in self._kept:
            errors = self._figures.known(part.label, 0) or {}
            measured = self._figures.known(part.label, 1) or {}
            if not set(fitting_formats(part.columns)) <= set(errors):
                errors, measured = {}, {}
            self._kept[part] = Sensitivity(part, dict(errors), dict(measured))
        return self._kept[part]

    def _open(self) -> None:
        """Find what the base makes of the tokens, and the floor at each layer."""
        if self._floors is not None:
            return
        n_layers, n_halves = len(self._model.layers), self._base.n_halves
        places = np.unique(np.linspace(0, n_layers - 1, _N_FLOORS).round().astype(np.int64))
        found = self._figures.known(_FLOOR, 0) if self._has_floor else [0.0] * places.size
        trembling = set() if found is not None else {2 * int(index) for index in places}
        random = np.random.default_rng(0)

        def join(place: int, layer: LayerEngine, hidden: Float32) -> Iterator[Trial]:
            if place in trembling:
                noise = random.standard_normal(hidden.shape, np.float32)
                trial = Trial(None, _FLOOR, 1.0, hidden * (1 + np.float32(_TREMBLE) * noise))
                layer.run(self._base.half(place), trial.hidden)
                yield trial

        hidden = self._base.embedded(self._windows)
        trials = self._base.walk(hidden, 0, n_halves, [], join)
        self._trials.remember(hidden)
        if found is None:
            found = [self._trials.divergence(trial) for trial in trials]
            self._figures.add(_FLOOR, 0, found)
        self._floors = np.interp(np.arange(n_layers), places, found)

    def _tried(
        self, missing: Mapping[Part, Sequence[str]], steps: _Steps
    ) -> Iterator[tuple[Part, dict[str, float], dict[str, float]]]:
        """Parts, the errors of their formats and what they cost, in the order of the layers."""
        hidden, at = self._base.embedded(self._windows), 0
        for group in self._groups(missing):
            errors: dict[Part, dict[str, float]] = {}
            begun = [
                trial
                for part in group
                if self._is_embedding(part)
                for trial in self._of_embedding(part, missing[part], errors)
            ]
            wanted = {part: missing[part] for part in group if part not in errors}
            join = functools.partial(self._join, wanted, errors)
            end = max(self._start(part) for part in group)
            there = self._base.walk(hidden, at, end, begun, join, steps.ran)
            at = end
            for part in group:
                losses = {}
                for trial in (trial for trial in there if trial.part is part):
                    losses[trial.format] = self._own(trial, self._trials.divergence(trial))
                    steps.ran(_HEAD_HALVES)
                yield part, errors[part], losses
        for part in (part for part in missing if self._start(part) == self._base.n_halves):
            gram = self._trials.gram_of_head
            tried = {}
            for name in missing[part]:
                tried[name] = self._trials.divergence_of_head(name, gram.diagonal)
                steps.ran(_HEAD_HALVES)
            yield part, errors_of_formats(self._source, part, gram, self._threads), tried

    def _groups(self, missing: Mapping[Part, Sequence[str]]) -> Iterator[list[Part]]:
        """Parts that are on their way at once, by where they set out; not the head alone."""
        group: list[Part] = []
        n_trials = 0
        for part in sorted(missing, key=self._start):
            if self._start(part) == self._base.n_halves:
                continue
            n_more = len(missing[part])
            if group and n_trials + n_more > self._at_once:
                yield group
                group, n_trials = [], 0
            group.append(part)
            n_trials += n_more
        if group:
            yield group

    def _of_embedding(
        self, part: Part, names: Sequence[str], errors: dict[Part, dict[str, float]]
    ) -> Iterator[Trial]:
        """Trials of the embedding, which may be the head; `errors` takes those of its formats."""
        gram = None if part.stage is None else self._trials.gram_of_head
        errors[part] = errors_of_formats(self._source, part, gram, self._threads)
        for name in names:
            yield self._trials.of_embedding(part, name, None if gram is None else gram.diagonal)

    def _join(
        self,
        wanted: Mapping[Part, Sequence[str]],
        errors: dict[Part, dict[str, float]],
        place: int,
        layer: LayerEngine,
        hidden: Float32,
    ) -> Iterator[Trial]:
        """Trials of the parts that stand at a place; `errors` takes those of their formats."""
        for part in (part for part in wanted if self._start(part) == place):
            assert part.stage is not None
            inputs = layer.inputs(part.stage.half, part.stage.inner, hidden)
            gram = gram_of(inputs, part.tensors[0], threads=self._threads)
            errors[part] = errors_of_formats(self._source, part, gram, self._threads)
            for name in wanted[part]:
                times = self._amplified if name in anchors_of(part) else 1.0
                yield self._trials.of_layer(part, name, gram.diagonal, times, layer, hidden)

    def _own(self, trial: Trial, divergence: float) -> float:
        """What a part costs by itself, of what was measured of it."""
        assert self._floors is not None
        assert trial.part is not None
        first = 0 if self._is_embedding(trial.part) else trial.part.layer
        floor = float(self._floors[first])
        return max(divergence - floor, _SURE * divergence) / trial.amplified**2

    def _is_embedding(self, part: Part) -> bool:
        return part.tensors == (self._model.embedding.name,)

    def _start(self, part: Part) -> int:
        """The place in the base at which a part first changes something."""
        if self._is_embedding(part):
            return 0
        assert part.stage is not None
        if part.stage.half == "end":
            return self._base.n_halves
        return 2 * part.layer + (part.stage.half == "feed")

    def _n_halves_of(self, missing: Mapping[Part, Sequence[str]]) -> int:
        """How many halves of layers are computed to try all that is missing."""
        return sum(
            len(names) * (self._base.n_halves - self._start(part) + _HEAD_HALVES)
            for part, names in missing.items()
        )


class _Steps:
    """How far measuring is, in layers that were computed."""

    def __init__(self, n_halves: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, n_halves, progress
        progress("measure", 0, n_halves // 2)

    def ran(self, n_halves: int) -> None:
        """Tell that so many halves of layers were computed."""
        self._done += n_halves
        self._progress("measure", self._done // 2, self._total // 2)


def _scored(windows: Ids) -> npt.NDArray[np.intp]:
    """The places of the tokens whose logits are compared, in the flat windows."""
    places = np.arange(windows.size).reshape(windows.shape)
    first = _SCORED_FROM if windows.shape[1] > 2 * _SCORED_FROM else 0
    return places[:, first::_SCORED_EVERY].reshape(-1)
