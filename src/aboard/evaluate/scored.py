"""Windows and questions scored, but for those that an earlier run scored already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from aboard.evaluate.scorers import Scorer
from aboard.evaluate.task_files import Task
from aboard.evaluate.task_scores import Answered, TaskScores, answer_item, sum_up_task
from aboard.evaluate.text_scores import WindowScores
from aboard.evaluate.text_windows import Window
from aboard.evaluate.unfinished import Unfinished
from aboard.progress import Progress


def score_windows(
    scorer: Scorer, kept: Unfinished, windows: Iterable[Window], n_tokens: int, told: Progress
) -> Iterator[list[WindowScores]]:
    """What each of the scorer's models says of each window."""
    done = 0
    told("text", 0, n_tokens)
    for number, window in enumerate(windows):
        known = kept.known("text", number)
        if known is None:
            scores = scorer.window(window)
            kept.add("text", number, [_to_json(each) for each in scores])
        else:
            scores = [_from_json(each, window) for each in known]
        yield scores
        done += window.n_scored
        told("text", done, n_tokens)


def score_task(scorer: Scorer, kept: Unfinished, task: Task, told: Progress) -> list[TaskScores]:
    """What each model makes of a task, beside the reference where there is one."""
    answers: list[list[Answered]] = []
    told(task.name, 0, len(task.items))
    for number, item in enumerate(task.items):
        known = kept.known(f"task {task.name}", number)
        if known is None:
            every = range(scorer.n_models + scorer.has_reference)
            known = [answer_item(scorer, which, item) for which in every]
            kept.add(f"task {task.name}", number, known)
        answers.append([(each[0], each[1]) for each in known])
        told(task.name, number + 1, len(task.items))
    theirs = [each[-1] for each in answers] if scorer.has_reference else None
    return [
        sum_up_task(task, [each[which] for each in answers], theirs)
        for which in range(scorer.n_models)
    ]


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
