"""From a checkpoint and a budget to a file: calibrated, measured, chosen, rounded, compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aboard.artifact.gguf_writer import header_bytes
from aboard.artifact.quantized import GgufWeights, Quantized, provenance, quantize_file
from aboard.artifact.types import EMBEDDING, HEAD, checked_type, type_entries, type_of
from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.gguf import open_gguf
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.engine.device import checked_threads
from aboard.engine.head_engine import HeadEngine
from aboard.engine.layer_engine import LayerEngine
from aboard.errors import UsageError
from aboard.evaluate.unfinished import Unfinished
from aboard.fitting.budget import Budget
from aboard.fitting.checkpoint import (
    OpenCheckpoint,
    as_gguf,
    open_checkpoint,
    require_other_file,
    sha256_of,
)
from aboard.fitting.choosing import Choice, Choosing
from aboard.fitting.report import FittedPart, FittedTensor, QuantizedCheckpoint
from aboard.models.decoder import DecoderModel
from aboard.progress import Progress, silent
from aboard.quantize.calibration import N_TOKENS, Calibration, calibrate
from aboard.quantize.parts import parts_of
from aboard.quantize.passes import compare
from aboard.quantize.rounding import Method
from aboard.quantize.sensitivity import Measuring, sample_windows

_MEASURING_VERSION = 2  # what a newer one would find otherwise isn't taken
_LOSS_ROUNDS = 3


def quantize_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    budget: Budget | None = None,
    *,
    texts: Sequence[str | Path] = (),
    method: Method | None = None,
    n_tokens: int = N_TOKENS,
    text_only: bool = False,
    threads: int | None = None,
    measured: str | Path | None = None,
    progress: Progress = silent,
) -> QuantizedCheckpoint:
    """Write the decoder `checkpoint` as the GGUF file `out` of stock types, within `budget`.

    The file appears whole or not at all; the same call once more goes on where a killed one
    stopped, from what lies beside `out`.

    Parameters
    ----------
    checkpoint : path
        A folder as Hugging Face has them, or a GGUF file, best of floats.
    out : path
        The new file.
    budget : Budget, optional
        What it may take or lose.
    texts : sequence of path
        Texts in UTF-8 for the calibration, beside the built-in ones.
    method : Method, optional
        How codes are chosen.
    n_tokens : int
        Of the calibration, at most.
    text_only : bool
        Leave out parts that see or hear.
    threads : int, optional
        By default one for each core; the file doesn't depend on it.
    measured : path, optional
        Where what was measured is left, for other budgets of the same checkpoint; by default it is
        beside `out` until that is there.
    progress : callable
        Called as ``(stage, done, total)``; the stages are import, measure, quantize and compare.

    Raises
    ------
    CheckpointError, ConfigError, TokenizerError
        The checkpoint can't be read, or isn't a decoder.
    UsageError
        The budget is too small, a text too short, or a format unknown.
    NumericalError
        The model computes no numbers on the calibration text.
    ArtifactError
        The file can't be written, or would replace the checkpoint.
    """
    checkpoint, out, budget = Path(checkpoint), Path(out), budget or Budget()
    require_other_file(checkpoint, out)
    made_of = as_gguf(checkpoint, out, text_only=text_only, progress=progress)
    with ExitStack() as opened:
        task = _Task(
            out=out,
            budget=budget,
            method=method or Method(),
            checkpoint=open_checkpoint(made_of, opened),
            threads=checked_threads(threads),
            measured=None if measured is None else Path(measured),
            progress=progress,
        )
        calibration = _calibration(task.checkpoint, texts, n_tokens)
        report = _made(task, calibration, checkpoint)
    if made_of != checkpoint:
        made_of.unlink()
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What all steps share."""

    out: Path
    budget: Budget
    method: Method
    checkpoint: OpenCheckpoint
    threads: int
    measured: Path | None
    progress: Progress

    def open_layer(self, model: DecoderModel, index: int) -> LayerEngine:
        """The engine of a layer."""
        return LayerEngine(model, index, self.threads)

    def open_head(self, model: DecoderModel) -> HeadEngine:
        """The engine of the head."""
        return HeadEngine(model, self.threads)


def _calibration(
    checkpoint: OpenCheckpoint, texts: Sequence[str | Path], n_tokens: int
) -> Calibration:
    metadata = checkpoint.file.metadata
    return calibrate(
        Tokenizer.from_gguf(metadata),
        ChatTemplate.from_gguf(metadata),
        texts={str(path): _text(Path(path)) for path in texts},
        n_tokens=n_tokens,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: the byte at {error.start} is no UTF-8, expected a text"
        ) from None


def _made(task: _Task, calibration: Calibration, named: Path) -> QuantizedCheckpoint:
    """Choose, round and compare, until the loss is within a budget of loss."""
    source_sha256 = sha256_of(task.checkpoint.path)
    entries = _entries(task, source_sha256)
    if task.budget.format is not None:
        chosen = None
        made = _quantize(task, calibration, _of_one_format(task), entries)
        kl = _compared(task, calibration)
        return _report(task, calibration, named, made, chosen, kl, source_sha256)
    key = _key(task.checkpoint, calibration)
    place = task.measured or task.out.with_name(f".{task.out.name}.measured")
    with Unfinished(place, key) as figures:
        choosing = _choosing(task, calibration, figures, entries)
        n_weights = sum(math.prod(tensor.shape) for tensor in task.checkpoint.tensors)
        budget, wanted = task.budget, task.budget.loss
        for _ in range(_LOSS_ROUNDS):
            chosen = choosing.choose(budget.bytes_of(n_weights), budget)
            made = _quantize(task, calibration, chosen.assignment, entries)
            kl = _compared(task, calibration)
            if wanted is None or float(kl.mean()) <= wanted or budget.loss is None:
                break
            # Losses of parts don't quite add up: ask for less by as much as they were off.
            budget = Budget(loss=0.95 * budget.loss * wanted / float(kl.mean()))
        report = _report(task, calibration, named, made, chosen, kl, source_sha256)
        if task.measured is None:
            figures.discard()
    return report


def _choosing(
    task: _Task, calibration: Calibration, figures: Unfinished, entries: Mapping[str, object]
) -> Choosing:
    checkpoint = task.checkpoint
    parts = parts_of(checkpoint.model)
    chosen = {name for part in parts for name in part.tensors}
    measuring = Measuring(
        checkpoint.model,
        checkpoint.weights,
        sample_windows(calibration),
        open_layer=task.open_layer,
        open_head=task.open_head,
        figures=figures,
        threads=task.threads,
    )
    metadata = (
        checkpoint.metadata
        | type_entries(checkpoint.tensors)
        | provenance(calibration, task.method)
        | dict(entries)
    )
    fixed = len(header_bytes(metadata, checkpoint.tensors)) + sum(
        tensor.aligned_bytes for tensor in checkpoint.tensors if tensor.name not in chosen
    )
    return Choosing(checkpoint, parts, measuring, fixed, task.progress)


def _quantize(
    task: _Task,
    calibration: Calibration,
    assignment: Mapping[str, str],
    entries: Mapping[str, object],
) -> Quantized:
    return quantize_file(
        task.checkpoint.path,
        task.out,
        assignment,
        calibration=calibration,
        open_layer=task.open_layer,
        method=task.method,
        grids={
            name: form for name, form in task.checkpoint.grids.items() if name not in assignment
        },
        entries=entries,
        threads=task.threads,
        progress=task.progress,
    )


def _of_one_format(task: _Task) -> dict[str, str]:
    """The format that was asked for, or what takes its place, of every matrix but exact ones."""
    wanted = checked_type(task.budget.format)
    names = {tensor.name: tensor for tensor in task.checkpoint.tensors}
    head = HEAD if HEAD in names else EMBEDDING
    found = {}
    for weight in task.checkpoint.model.matrices():
        tensor, own = names[weight.name], task.checkpoint.weights.format(weight.name)
        form = type_of(tensor.name, tensor.shape, wanted, own, is_head=tensor.name == head)
        if form != own:
            found[tensor.name] = form
    return found


def _compared(task: _Task, calibration: Calibration) -> np.ndarray:
    """KL divergence of each token of the windows that are held out, (B, T) float64."""
    with ExitStack() as opened:
        other = opened.enter_context(open_gguf(task.out))
        return compare(
            task.checkpoint.model,
            task.checkpoint.weights,
            GgufWeights(other),
            calibration.windows[-calibration.n_held_out :],
            open_layer=task.open_layer,
            open_head=task.open_head,
            progress=task.progress,
        )


def _entries(task: _Task, source_sha256: str) -> dict[str, object]:
    """Entries of the file that tell how its formats were chosen."""
    how = "one format" if task.budget.format is not None else "measured divergence"
    return {
        "aboard.quantize.allocation": how,
        "aboard.quantize.source_sha256": source_sha256,
    }


def _key(checkpoint: OpenCheckpoint, calibration: Calibration) -> str:
    """What the figures of measuring depend on."""
    state = checkpoint.path.stat()
    told = [
        _MEASURING_VERSION,
        str(checkpoint.path.resolve()),
        state.st_size,
        state.st_mtime_ns,
        calibration.sha256,
        calibration.n_held_out,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _report(
    task: _Task,
    calibration: Calibration,
    named: Path,
    made: Quantized,
    choice: Choice | None,
    kl: np.ndarray,
    source_sha256: str,
) -> QuantizedCheckpoint:
    by_window = kl.mean(axis=1)
    error = float(by_window.std(ddof=1) / math.sqrt(by_window.size)) if by_window.size > 1 else None
    n_weights = sum(math.prod(tensor.shape) for tensor in task.checkpoint.tensors)
    tensors = _tensors(task, made, choice)
    return QuantizedCheckpoint(
        path=str(task.out),
        source=str(named),
        sha256=sha256_of(task.out),
        source_sha256=source_sha256,
        size_bytes=made.size_bytes,
        bits_per_weight=made.bits_per_weight,
        budget_bytes=task.budget.bytes_of(n_weights),
        smallest_bytes=None if choice is None else choice.smallest_bytes,
        predicted_kl=None if choice is None else choice.loss,
        measured_kl=float(kl.mean()),
        measured_kl_error=error,
        n_tokens=int(kl.size),
        calibration_sha256=calibration.sha256,
        calibration_sources=dict(calibration.sources),
        method=task.method.entries(),
        tensors=tuple(tensors),
        parts=() if choice is None else tuple(_parts(choice)),
        notes=(*_notes(task, tensors), *_above_budget(task, float(kl.mean()))),
    )


def _parts(choice: Choice) -> list[FittedPart]:
    return [
        FittedPart(tensors=each.part.tensors, measured=dict(each.measured)) for each in choice.found
    ]


def _tensors(task: _Task, made: Quantized, choice: Choice | None) -> list[FittedTensor]:
    roundings = {rounding.name: rounding for rounding in made.roundings}
    losses = {}
    if choice is not None:
        losses = {
            name: (option.loss, option.format in each.measured)
            for each, option in zip(choice.found, choice.options, strict=True)
            for name in each.part.tensors
        }
    with open_gguf(task.out) as file:
        found = []
        for name in dict.fromkeys(weight.name for weight in task.checkpoint.model.matrices()):
            info, rounding = file.tensors[name], roundings.get(name)
            loss, is_measured = losses.get(name, (None, False))
            found.append(
                FittedTensor(
                    name=name,
                    format=info.format,
                    exact=rounding is None,
                    size_bytes=info.size_bytes,
                    error=None if rounding is None else rounding.error,
                    part_kl=loss,
                    part_measured=is_measured,
                )
            )
    return found


def _above_budget(task: _Task, kl: float) -> list[str]:
    wanted = task.budget.loss
    if wanted is None or kl <= wanted:
        return []
    return [
        f"the KL divergence is {kl:.5f} nats a token, above the {wanted:g} that were asked for: "
        f"{_LOSS_ROUNDS} rounds came no nearer"
    ]


def _notes(task: _Task, tensors: Sequence[FittedTensor]) -> list[str]:
    notes = []
    exact = [each.name for each in tensors if each.exact and each.name in task.checkpoint.grids]
    if exact:
        formats = sorted({task.checkpoint.grids[name] for name in exact})
        notes.append(
            f"{len(exact)} of {len(tensors)} matrices lie on the grid of {', '.join(formats)} "
            "already and are kept to the bit"
        )
    lost = [name for name in task.checkpoint.grids if name not in exact]
    if lost:
        notes.append(
            f"{len(lost)} matrices lie on a grid already, and are rounded to a smaller one: the "
            "budget asks for it"
        )
    return notes
