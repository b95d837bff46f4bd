"""From a checkpoint and a budget to a file: calibrated, measured, chosen, rounded, compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from aboard.artifact.gguf_writer import header_bytes
from aboard.artifact.replacement import require_writable
from aboard.artifact.types import EMBEDDING, HEAD, checked_type, type_of
from aboard.engine.device import checked_threads
from aboard.errors import (
    CheckpointError,
    ConfigError,
    NumericalError,
    TemplateError,
    TokenizerError,
    UsageError,
)
from aboard.evaluate.unfinished import Unfinished
from aboard.fitting.budget import Budget
from aboard.fitting.calibrating import calibration_of_checkpoint, completed, read_texts
from aboard.fitting.checkpoint import (
    as_gguf,
    open_checkpoint,
    require_other_file,
    sha256_of,
)
from aboard.fitting.choosing import Choosing
from aboard.fitting.leftovers import remove_leftovers
from aboard.fitting.limits import Limits, limits_of
from aboard.fitting.report import QuantizedCheckpoint
from aboard.fitting.searching import smallest_within_loss
from aboard.fitting.sizes import Sizes, assignment_of
from aboard.fitting.task import Task
from aboard.fitting.telling import told
from aboard.progress import Progress, silent
from aboard.quantize.calibration import N_TOKENS
from aboard.quantize.parts import parts_of
from aboard.quantize.rounding import Method
from aboard.quantize.sensitivity import Measuring, sample_windows

_FINAL = (
    *(CheckpointError, ConfigError, TokenizerError, TemplateError, NumericalError, UsageError),
)
"""What the same call once more would end with again."""
_MEASURING_VERSION = 2  # what a newer one would find otherwise isn't taken


def quantize_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    budget: Budget | None = None,
    *,
    texts: Sequence[str | Path] = (),
    method: Method | None = None,
    n_tokens: int = N_TOKENS,
    self_written: bool | None = None,
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
    self_written : bool, optional
        Whether the model writes what the texts lack of them; by default where it has at most
        `aboard.fitting.calibrating.MOST_WEIGHTS`.
    text_only : bool
        Leave out parts that see or hear.
    threads : int, optional
        By default one for each core; the file doesn't depend on it.
    measured : path, optional
        Where what was measured is left, for other budgets of the same checkpoint; by default it is
        beside `out` until that is there.
    progress : callable
        Called as ``(stage, done, total)``; the stages are import, write, measure, quantize
        and compare.

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
    require_writable(out)
    read = read_texts(texts)
    made_of, is_new = as_gguf(checkpoint, out, text_only=text_only, progress=progress)
    try:
        with ExitStack() as opened:
            there = open_checkpoint(made_of, opened, checkpoint)
            task = Task(
                named=checkpoint,
                checkpoint=there,
                source_sha256=sha256_of(made_of),
                out=out,
                budget=budget,
                method=method or Method(),
                texts=read,
                n_tokens=n_tokens,
                calibration=calibration_of_checkpoint(there, read, n_tokens),
                allocation=_allocation(budget),
                threads=checked_threads(threads),
                measured=None if measured is None else Path(measured),
                progress=progress,
            )
            report = _made(task, self_written)
    except _FINAL as error:  # another call is needed, or checkpoint, which may never come
        if made_of != checkpoint and (is_new or not isinstance(error, UsageError)):
            made_of.unlink()
        raise
    remove_leftovers(out)
    return report


def _allocation(budget: Budget) -> str:
    """How formats are chosen, as the file says it."""
    return "one format" if budget.format is not None else "measured divergence"


def _made(task: Task, self_written: bool | None) -> QuantizedCheckpoint:
    """Choose, round and compare as the budget asks for."""
    parts = parts_of(task.checkpoint.model)
    header = len(header_bytes(task.metadata, task.checkpoint.tensors))
    in_file, in_memory = Sizes(task.checkpoint, parts, header), Sizes(task.checkpoint, parts)
    limits = limits_of(task.budget, task.n_weights, in_file, in_memory)
    if task.budget.format is not None:
        assignment = _of_one_format(task)
        with completed(task, self_written) as task:
            return told(task, task.quantize(assignment), task.compare(), limits)
    if limits.memory_bytes is not None:
        eight = in_memory.at_eight_bits()
        if in_memory.of(eight) <= limits.memory_bytes:  # nothing is left to be chosen
            task = replace(task, allocation="eight bits")
            return told(task, task.quantize(assignment_of(eight)), task.compare(), limits)
    with completed(task, self_written) as task:
        return _chosen(task, limits, in_file if limits.memory_bytes is None else in_memory)


def _chosen(task: Task, limits: Limits, sizes: Sizes) -> QuantizedCheckpoint:
    """Measure the parts, and make the best file there is within `limits`, or within a loss."""
    place = task.measured or task.beside("measured")
    with Unfinished(place, _key(task)) as figures:
        measuring = Measuring(
            task.checkpoint.model,
            task.checkpoint.weights,
            sample_windows(task.calibration),
            open_layer=task.open_layer,
            open_head=task.open_head,
            figures=figures,
            threads=task.threads,
        )
        choosing = Choosing(sizes, measuring, task.progress)
        limit = limits.memory_bytes or limits.size_bytes
        if limit is None:
            tried, n_tries = smallest_within_loss(task, choosing, figures)
            report = told(task, tried.made, tried.compared, limits, tried.choice, n_tries)
        else:
            choice = choosing.within_bytes(limit)
            made = task.quantize(choice.assignment)
            report = told(task, made, task.compare(), limits, choice)
        if task.measured is None:
            figures.discard()
    return report


def _of_one_format(task: Task) -> dict[str, str]:
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


def _key(task: Task) -> str:
    """What the figures of measuring depend on."""
    checkpoint, calibration = task.checkpoint, task.calibration
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
