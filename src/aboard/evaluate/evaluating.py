"""`evaluate`: a model on a text and on tasks, against a reference or by itself."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from aboard.engine import Model
from aboard.engine.device import numerics_version
from aboard.errors import UsageError
from aboard.evaluate.evaluation import Evaluation
from aboard.evaluate.opened import Opened, open_for_evaluation
from aboard.evaluate.passages import PASSAGES, too_little
from aboard.evaluate.scorers import Scorer
from aboard.evaluate.survey import Survey, survey_text
from aboard.evaluate.task_files import Task, find_tasks, read_task
from aboard.evaluate.task_scores import TaskScores, answer_item, sum_up_task
from aboard.evaluate.text_scores import TextScores, WindowScores, sum_up
from aboard.evaluate.text_windows import FileText, OwnText, Text, Window, windows
from aboard.evaluate.unfinished import Unfinished, cache_folder
from aboard.evaluate.vocabularies import require_same_vocabulary
from aboard.overlap import sample_of_metadata
from aboard.progress import Progress, silent

WINDOW = 512
BUILTIN_WINDOW = 64
WANTED_SEQUENCES = 32
"""Fewer give intervals that are too narrow."""


def evaluate(
    model: str | Path,
    *,
    against: str | Path | None = None,
    text: Sequence[str | Path] = (),
    tasks: Sequence[str] = (),
    window: int | None = None,
    sequences: int | None = None,
    threads: int | None = None,
    kv: str = "f16",
    reference_activations: str = "int8",
    state: str | Path | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """How well `model` predicts a text and answers tasks, and how far it is from a reference.

    Parameters
    ----------
    model : str or Path
        A GGUF file.
    against : str or Path, optional
        The reference: a GGUF file with the same tokenizer, of which more precise weights are
        expected.
    text : sequence of paths
        Files of UTF-8, read piece by piece. With neither `text` nor `tasks` a small text of our
        own is used, which shows that all works and can't judge a model.
    tasks : sequence of str
        NAME=FILE, or folders; see `aboard.evaluate.task_files`.
    window : int, optional
        Tokens of a sequence, at least 2; 512 by default, or what the context holds.
    sequences : int, optional
        At most so many windows of the text, its first ones; all by default.
    threads : int, optional
        As for `aboard.load`. No figure depends on it.
    kv : str
        How the model's keys and values are stored; those of the reference are "f16".
    reference_activations : str
        "int8", or "float32", slow and as exact as the reference's weights.
    state : str or Path, optional
        The file in which a run that is killed leaves what it has found; by default one in the
        cache folder.
    resume : bool
        Go on where such a run stopped, and leave such a file.
    progress : callable
        Called as (stage, done, total): tokens of the "text", questions of each task by its name.

    Raises
    ------
    UsageError
        The tokenizers differ, the text overlaps with the calibration text of a file, is too short
        or no UTF-8, a task file is unsound, or a number is out of its range.
    NumericalError
        A model computes NaN or infinity.
    AboardError
        As for `aboard.load`.
    """
    from aboard import __version__

    chosen = _chosen_text(text, tasks)
    read = [read_task(name, path) for name, path in find_tasks(tasks).items()]
    if sequences is not None and sequences < 1:
        raise UsageError(f"sequences is {sequences}, expected 1 or more")
    longest = window or WINDOW
    own = open_for_evaluation(model, longest, threads, kv, "int8")
    theirs = None
    if against is not None:
        theirs = open_for_evaluation(against, longest, threads, "f16", reference_activations)
        require_same_vocabulary(own.model, theirs.model, own.metadata, theirs.metadata)
    opened = [each for each in (own, theirs) if each]
    size = _window_size(chosen, window, [each.model for each in opened])
    survey = None
    if chosen is not None:
        survey = _surveyed(chosen, size, sequences, opened)
    key = _key(opened, size, survey, read)
    path = None
    if resume:
        path = Path(state) if state is not None else cache_folder() / f"{key[:32]}.jsonl"
    with ExitStack() as held:
        kept = held.enter_context(Unfinished(path, key))
        scorer = held.enter_context(Scorer(*(each.model for each in opened)))
        on_text = None
        if chosen is not None and survey is not None:
            every = windows(chosen, own.model.tokenizer, size)
            on_text = _text_scored(scorer, kept, chosen, every, size, survey, progress)
        on_tasks = tuple(
            _task_scored(scorer, kept, task, own.model, theirs is not None, progress)
            for task in read
        )
        kept.discard()
    options = {
        "--window": window,
        "--sequences": sequences,
        "--kv": None if kv == "f16" else kv,
        "--reference-activations": (
            None if reference_activations == "int8" else reference_activations
        ),
    }
    return Evaluation(
        model=own.about(),
        reference=theirs.about() if theirs else None,
        text=on_text,
        tasks=on_tasks,
        notes=_notes(on_text, survey),
        context=own.model.context_length,
        numerics_version=numerics_version(),
        aboard_version=__version__,
        command=_command(model, against, text, tasks, options),
    )


def _chosen_text(text: Sequence[str | Path], tasks: Sequence[str]) -> Text | None:
    """The files, or our own text where there are no tasks either."""
    if text:
        return FileText(text)
    return None if tasks else OwnText("built-in text", PASSAGES, builtin=True)


def _surveyed(text: Text, size: int, most: int | None, opened: Sequence[Opened]) -> Survey:
    calibrated = [
        (each.given, sample)
        for each in opened
        if (sample := sample_of_metadata(each.metadata)) is not None
    ]
    return survey_text(text, opened[0].model.tokenizer, size, most, calibrated)


def _window_size(text: Text | None, window: int | None, models: Sequence[Model]) -> int:
    """Tokens of a window: as asked for, or as the text and the contexts allow."""
    holds = min(model.context_length for model in models)
    if window is None:
        usual = BUILTIN_WINDOW if text is not None and text.builtin else WINDOW
        window = min(usual, max(holds, 2))
    if not 2 <= window <= holds:
        raise UsageError(
            f"a window of {window} tokens, expected 2 to {holds}, which is what the context holds",
            hint="Ask for another window: --window.",
        )
    return window


def _key(opened: Sequence[Opened], size: int, survey: Survey | None, tasks: Sequence[Task]) -> str:
    """The hash of all that decides the figures of windows and questions."""
    decided = {
        "format": 1,
        "numerics": numerics_version(),
        "models": [
            [
                each.model.weights_sha256,
                each.model.tokenizer.sha256,
                each.model.kv,
                each.model.context_length,
            ]
            for each in opened
        ],
        "window": size,
        "text": survey.tokens_sha256 if survey else None,
        "tasks": [[task.name, task.sha256] for task in tasks],
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _text_scored(
    scorer: Scorer,
    kept: Unfinished,
    text: Text,
    every: Iterator[Window],
    size: int,
    survey: Survey,
    told: Progress,
) -> TextScores:
    first = islice(every, survey.n_sequences)
    return sum_up(
        list(_windows_scored(scorer, kept, first, survey.n_tokens, told)),
        name=text.name,
        sha256=survey.sha256,
        builtin=text.builtin,
        window=size,
    )


def _windows_scored(
    scorer: Scorer, kept: Unfinished, each_window: Iterator[Window], n_tokens: int, told: Progress
) -> Iterator[WindowScores]:
    done = 0
    told("text", 0, n_tokens)
    for number, window in enumerate(each_window):
        known = kept.known("text", number)
        if known is None:
            scores = scorer.window(window)
            kept.add("text", number, _to_json(scores))
        else:
            scores = _from_json(known, window)
        yield scores
        done += window.n_scored
        told("text", done, n_tokens)


def _to_json(scores: WindowScores) -> list[Any]:
    arrays = (scores.losses, scores.reference_losses, scores.divergence, scores.marks)
    return [None if array is None else array.tolist() for array in arrays]


def _from_json(known: list[Any], window: Window) -> WindowScores:
    losses, reference, divergence = (
        None if values is None else np.array(values, np.float64) for values in known[:3]
    )
    return WindowScores(
        n_bytes=window.n_bytes,
        losses=losses if losses is not None else np.empty(0),
        reference_losses=reference,
        divergence=divergence,
        marks=np.array(known[3], np.uint8),
    )


def _task_scored(
    scorer: Scorer, kept: Unfinished, task: Task, model: Model, compared: bool, told: Progress
) -> TaskScores:
    answers: list[list[Any]] = []
    told(task.name, 0, len(task.items))
    for number, item in enumerate(task.items):
        known = kept.known(f"task {task.name}", number)
        if known is None:
            known = [
                answer_item(scorer, which, item, model.tokenizer)
                for which in ((0, 1) if compared else (0,))
            ]
            kept.add(f"task {task.name}", number, known)
        answers.append(known)
        told(task.name, number + 1, len(task.items))
    own = [(each[0][0], each[0][1]) for each in answers]
    theirs = [(each[1][0], each[1][1]) for each in answers] if compared else None
    return sum_up_task(task, own, theirs)


def _notes(text: TextScores | None, survey: Survey | None) -> tuple[str, ...]:
    notes = []
    if text is not None and text.builtin:
        notes.append(too_little(text.n_tokens))
    elif text is not None and text.n_sequences < WANTED_SEQUENCES:
        notes.append(
            f"{text.n_sequences} sequences, expected {WANTED_SEQUENCES} or more: the intervals "
            "are too narrow, or missing"
        )
    if text is not None and not _has_numbers(text):
        notes.append("a perplexity is beyond what a number holds: inf here, and null in JSON")
    if survey is not None and survey.shared > 0:
        notes.append("a few passages of the text also stand in the calibration text")
    return tuple(notes)


def _has_numbers(text: TextScores) -> bool:
    """Whether all perplexities are finite."""
    found = [text.perplexity]
    if text.comparison is not None:
        found += [text.comparison.reference_perplexity, text.comparison.ppl_ratio]
    return all(map(math.isfinite, found))


def _command(
    model: str | Path,
    against: str | Path | None,
    text: Sequence[str | Path],
    tasks: Sequence[str],
    options: Mapping[str, object],
) -> str:
    words = ["aboard", "eval", str(model)]
    if against is not None:
        words += ["--against", str(against)]
    for path in text:
        words += ["--text", str(path)]
    for task in tasks:
        words += ["--tasks", task]
    for name, value in options.items():
        if value is not None:
            words += [name, str(value)]
    return shlex.join(words)
