"""`evaluate`: a model on a text and on tasks, against a reference or by itself."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aboard.engine import Model
from aboard.engine.device import numerics_version
from aboard.errors import UsageError
from aboard.evaluate.evaluation import Evaluation
from aboard.evaluate.opened import Opened, open_for_evaluation
from aboard.evaluate.passages import PASSAGES, too_little
from aboard.evaluate.scored import score_task, score_windows
from aboard.evaluate.scorers import Scorer
from aboard.evaluate.survey import Survey, survey_text
from aboard.evaluate.task_files import Task, find_tasks, read_task
from aboard.evaluate.text_scores import TextScores, sum_up
from aboard.evaluate.text_windows import FileText, OwnText, Text, windows
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
    (found,) = _evaluated(
        [model],
        against,
        text,
        tasks,
        _Options(window, sequences, threads, kv, reference_activations, state, resume),
        progress,
    )
    return found


def evaluate_together(
    models: Sequence[str | Path],
    *,
    against: str | Path,
    text: Sequence[str | Path] = (),
    window: int | None = None,
    sequences: int | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> list[Evaluation]:
    """What `evaluate` finds of each of `models`, to the bit; the reference is computed once.

    All of them are in memory at once.

    Parameters
    ----------
    models : sequence of str or Path
        GGUF files, at least one.
    against, text, window, sequences, threads, progress
        As for `evaluate`.

    Raises
    ------
    AboardError
        As for `evaluate`.
    """
    return _evaluated(models, against, text, (), _Options(window, sequences, threads), progress)


@dataclass(frozen=True, slots=True)
class _Options:
    """As `evaluate` has them."""

    window: int | None
    sequences: int | None
    threads: int | None
    kv: str = "f16"
    reference_activations: str = "int8"
    state: str | Path | None = None
    resume: bool = True

    def words(self) -> list[str]:
        """Those that are not the usual ones, as a command has them."""
        told = {
            "--window": self.window,
            "--sequences": self.sequences,
            "--kv": None if self.kv == "f16" else self.kv,
            "--reference-activations": (
                None if self.reference_activations == "int8" else self.reference_activations
            ),
        }
        return [
            word for name, value in told.items() if value is not None for word in (name, str(value))
        ]


def _evaluated(
    models: Sequence[str | Path],
    against: str | Path | None,
    text: Sequence[str | Path],
    tasks: Sequence[str],
    options: _Options,
    progress: Progress,
) -> list[Evaluation]:
    from aboard import __version__

    chosen = _chosen_text(text, tasks)
    read = [read_task(name, path) for name, path in find_tasks(tasks).items()]
    if options.sequences is not None and options.sequences < 1:
        raise UsageError(f"sequences is {options.sequences}, expected 1 or more")
    own, theirs = _opened(models, against, options)
    opened = [*own, theirs] if theirs else own
    size = _window_size(chosen, options.window, [each.model for each in opened])
    survey = None if chosen is None else _surveyed(chosen, size, options.sequences, opened)
    key = _key(opened, size, survey, read)
    path = None
    if options.resume:
        path = cache_folder() / f"{key[:32]}.jsonl"
        path = path if options.state is None else Path(options.state)
    on_text: list[TextScores] = []
    with ExitStack() as held:
        kept = held.enter_context(Unfinished(path, key))
        reference = theirs.model if theirs else None
        scorer = held.enter_context(Scorer([each.model for each in own], reference))
        if chosen is not None and survey is not None:
            every = islice(windows(chosen, own[0].model.tokenizer, size), survey.n_sequences)
            scores = list(score_windows(scorer, kept, every, survey.n_tokens, progress))
            on_text = [
                sum_up(
                    list(found),
                    name=chosen.name,
                    sha256=survey.sha256,
                    builtin=chosen.builtin,
                    window=size,
                )
                for found in zip(*scores, strict=True)
            ]
        on_tasks = [score_task(scorer, kept, task, progress) for task in read]
        kept.discard()
    return [
        Evaluation(
            model=each.about(),
            reference=theirs.about() if theirs else None,
            text=on_text[index] if on_text else None,
            tasks=tuple(found[index] for found in on_tasks),
            notes=_notes(on_text[index] if on_text else None, survey, [each, theirs]),
            context=each.model.context_length,
            numerics_version=numerics_version(),
            aboard_version=__version__,
            command=_command(each.given, against, text, tasks, options),
        )
        for index, each in enumerate(own)
    ]


def _opened(
    models: Sequence[str | Path], against: str | Path | None, options: _Options
) -> tuple[list[Opened], Opened | None]:
    """The models and the reference, loaded, of one vocabulary."""
    longest, threads = options.window or WINDOW, options.threads
    own = [open_for_evaluation(each, longest, threads, options.kv, "int8") for each in models]
    if against is None:
        return own, None
    theirs = open_for_evaluation(against, longest, threads, "f16", options.reference_activations)
    for each in own:
        require_same_vocabulary(each.model, theirs.model, each.metadata, theirs.metadata)
    return own, theirs


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
        "format": 2,
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


def _notes(
    text: TextScores | None, survey: Survey | None, models: Sequence[Opened | None]
) -> tuple[str, ...]:
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
    if survey is not None and any(each and survey.shared.get(each.given) for each in models):
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
    options: _Options,
) -> str:
    words = ["aboard", "eval", str(model)]
    if against is not None:
        words += ["--against", str(against)]
    for path in text:
        words += ["--text", str(path)]
    for task in tasks:
        words += ["--tasks", task]
    return shlex.join([*words, *options.words()])
