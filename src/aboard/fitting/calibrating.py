"""The calibration of a checkpoint: texts, and what the model writes itself where they are few."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.engine import Model, load
from aboard.engine.device import numerics_version
from aboard.engine.self_written import write_on
from aboard.errors import UsageError
from aboard.evaluate.unfinished import Unfinished
from aboard.fitting.checkpoint import OpenCheckpoint
from aboard.fitting.task import Task
from aboard.formats import bits_of
from aboard.planning.ladder import main_type
from aboard.quantize.calibration import Calibration, Generate, calibrate

MOST_WEIGHTS = 2_000_000_000
"""Of a model that writes unless it is told not to: it takes time by its weights."""

_VERSION = 1  # of what is written
_CONTEXT = 2048
_EIGHT_BITS = bits_of("Q8_0")


def read_texts(paths: Sequence[str | Path]) -> dict[str, str]:
    """The user's texts by their names.

    Raises
    ------
    UsageError
        One is no UTF-8.
    """
    return {str(path): _text(Path(path)) for path in paths}


def calibration_of_checkpoint(
    checkpoint: OpenCheckpoint,
    texts: Mapping[str, str],
    n_tokens: int,
    generate: Generate | None = None,
) -> Calibration:
    """The calibration; see `aboard.quantize.calibration.calibrate`."""
    metadata = checkpoint.file.metadata
    return calibrate(
        Tokenizer.from_gguf(metadata),
        ChatTemplate.from_gguf(metadata),
        texts=texts,
        generate=generate,
        n_tokens=n_tokens,
    )


@contextmanager
def completed(task: Task, self_written: bool | None) -> Iterator[Task]:
    """`task`, to whose calibration the model has written what its texts lack of `n_tokens`.

    It writes at 8 bits a weight, the same on every machine.

    Parameters
    ----------
    task : Task
        Calibrated on texts; its progress is told of ``("write", done_tokens, total_tokens)``.
    self_written : bool or None
        Whether it may; None: where it has few enough weights. What is written is kept until the
        context is left without an error, so that a run that is killed goes on.
    """
    if self_written is None:
        self_written = task.n_weights <= MOST_WEIGHTS
    windows = task.calibration.windows
    self_written = self_written and task.method.needs_inputs
    if not self_written or task.n_tokens - windows.size < windows.shape[1]:
        yield task
        return
    told = [_VERSION, task.source_sha256, numerics_version()]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    with Unfinished(task.beside("written"), key) as figures:
        full = calibration_of_checkpoint(
            task.checkpoint, task.texts, task.n_tokens, _Writer(task, figures)
        )
        yield replace(task, calibration=full)
        if task.measured is None:
            figures.discard()


class _Writer:
    """Goes on with beginnings of texts; the model is loaded when it must."""

    def __init__(self, task: Task, figures: Unfinished) -> None:
        self._task, self._figures = task, figures
        self._model: Model | None = None
        self._n_written = 0

    def __call__(
        self, beginnings: Sequence[Sequence[int]], n_tokens: int, n_missing: int
    ) -> list[list[int]]:
        """See `aboard.quantize.calibration.Generate`."""
        asked = json.dumps([[list(each) for each in beginnings], n_tokens])
        name = f"written {hashlib.sha256(asked.encode()).hexdigest()[:16]}"
        found: list[list[int]] | None = self._figures.known(name, -1)
        if found is None:
            total = self._n_written + n_missing

            def told(n_more: int) -> None:
                self._n_written += n_more
                self._task.progress("write", min(self._n_written, total), total)

            told(sum(map(len, beginnings)))  # they are part of the texts
            self._model = self._model or self._loaded()
            found = write_on(
                self._model, beginnings, n_tokens, kept=self._figures, name=name, told=told
            )
            self._figures.add(name, -1, found)
        return found

    def _loaded(self) -> Model:
        """The model at 8 bits, or as it is where it has no more."""
        checkpoint, threads = self._task.checkpoint, self._task.threads
        context = min(checkpoint.model.context_length, _CONTEXT)
        if bits_of(main_type(checkpoint.tensors)) <= _EIGHT_BITS:
            return load(checkpoint.path, threads=threads, context=context, prefix_cache_bytes=0)
        small = self._task.beside("written.gguf")
        import_checkpoint(checkpoint.path, small, type="q8_0", threads=threads)
        try:
            return load(small, threads=threads, context=context, prefix_cache_bytes=0)
        finally:
            small.unlink()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: the byte at {error.start} is no UTF-8, expected a text"
        ) from None
