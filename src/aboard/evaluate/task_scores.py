"""What a model answers to the questions of a task, and where that differs from a reference.

An answer is the choice with the highest log-probability (`accuracy`), or with the highest one per
character (`accuracy_norm`), as lm-evaluation-harness takes them; of a continuation, whether each
of its tokens is the likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import ContextOverflow, UsageError
from aboard.evaluate.perplexity import perplexity_of
from aboard.evaluate.scorers import Scorer
from aboard.evaluate.statistics import Interval, mcnemar_p, paired_difference, wilson
from aboard.evaluate.task_files import Item, Task

Answered = tuple[list[float], bool]
"""The log-probability of each choice, and whether a continuation was the likeliest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskComparison:
    """The answers of a model against those of a reference, question by question.

    Attributes
    ----------
    verdict : str
        "identical answers", "no measurable difference" or "measurable difference", by
        `difference_ci95`.
    reference_accuracy : float
        Of the reference.
    difference : float
        Accuracy of the model less that of the reference; `difference_ci95` for paired answers
        (Bonett and Price, 2012).
    mcnemar_p : float
        McNemar's exact p-value.
    lost, gained : int
        Questions that the reference alone, and that the model alone, answered rightly.
    changed : int
        Questions with another answer, right or wrong.
    """

    verdict: str
    reference_accuracy: float
    difference: float
    difference_ci95: Interval
    mcnemar_p: float
    lost: int
    gained: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScores:
    """What a model made of a task.

    Attributes
    ----------
    name, kind, sha256 : str
        Those of the task.
    n_items : int
        Questions.
    accuracy : float
        Right answers; `accuracy_ci95` after Wilson.
    accuracy_norm : float or None
        By log-probability per character; None for continuations.
    perplexity : float or None
        Of continuations: exp of the mean loss of one.
    comparison, comparison_norm : TaskComparison or None
        Against the reference, by either way of answering.
    correct : tuple of bool
        Whether each answer is right, by `accuracy`.
    reference_correct : tuple of bool or None
        Those of the reference.
    """

    name: str
    kind: str
    sha256: str
    n_items: int
    accuracy: float
    accuracy_ci95: Interval
    accuracy_norm: float | None
    accuracy_norm_ci95: Interval | None
    perplexity: float | None
    comparison: TaskComparison | None
    comparison_norm: TaskComparison | None
    correct: tuple[bool, ...]
    reference_correct: tuple[bool, ...] | None


def answer_item(scorer: Scorer, which: int, item: Item) -> Answered:
    """What one of the scorer's models makes of one question.

    Raises
    ------
    UsageError
        It doesn't fit the context.
    """
    scores, likeliest = [], False
    for choice in item.choices:
        ids, n_given = _tokens(item, choice, scorer.tokenizer)
        try:
            score, likeliest = scorer.continuation(which, ids, n_given)
        except ContextOverflow as error:
            raise UsageError(f"{item.where} {error}", hint=error.hint) from None
        scores.append(score)
    return scores, likeliest and len(item.choices) == 1


def _tokens(item: Item, choice: str, tokenizer: Tokenizer) -> tuple[list[int], int]:
    """The ids of context and choice, encoded as one text, and how many are the context's."""

    def encoded(text: str) -> list[int]:
        return tokenizer.encode(text, add_special=False, parse_special=False)

    before = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
    context = item.context.rstrip(" ")  # the space before a word is part of the word's token
    whole = encoded(item.context + item.gap + choice)
    n_context = min(len(encoded(context)), len(whole) - 1)
    if not before and n_context < 1:
        raise UsageError(f"{item.where} no token stands before the answer")
    return before + whole, len(before) + n_context


def sum_up_task(
    task: Task, found: Sequence[Answered], reference: Sequence[Answered] | None
) -> TaskScores:
    """The figures of a task from the answers to its questions."""
    n = len(task.items)
    by_choice = task.kind == "choice"
    plain = [_chosen(item, each, norm=False) for item, each in zip(task.items, found, strict=True)]
    norm = [_chosen(item, each, norm=True) for item, each in zip(task.items, found, strict=True)]
    right = _right(task, plain)
    right_norm = _right(task, norm)
    theirs = theirs_norm = None
    if reference is not None:
        pairs = list(zip(task.items, reference, strict=True))
        theirs = [_chosen(item, each, norm=False) for item, each in pairs]
        theirs_norm = [_chosen(item, each, norm=True) for item, each in pairs]
    return TaskScores(
        name=task.name,
        kind=task.kind,
        sha256=task.sha256,
        n_items=n,
        accuracy=sum(right) / n,
        accuracy_ci95=wilson(sum(right), n),
        accuracy_norm=sum(right_norm) / n if by_choice else None,
        accuracy_norm_ci95=wilson(sum(right_norm), n) if by_choice else None,
        perplexity=None if by_choice else _perplexity(found),
        comparison=None if theirs is None else _compare(task, plain, theirs),
        comparison_norm=(
            _compare(task, norm, theirs_norm) if by_choice and theirs_norm is not None else None
        ),
        correct=tuple(right),
        reference_correct=None if theirs is None else tuple(_right(task, theirs)),
    )


def _chosen(item: Item, answered: Answered, *, norm: bool) -> int:
    """The index of the answer, of several alike the first; of a continuation 0 where it is said."""
    scores, likeliest = answered
    if len(item.choices) == 1:
        return 0 if likeliest else -1
    if norm:
        scores = [score / len(choice) for score, choice in zip(scores, item.choices, strict=True)]
    return scores.index(max(scores))


def _right(task: Task, chosen: Sequence[int]) -> list[bool]:
    return [item.answer == each for item, each in zip(task.items, chosen, strict=True)]


def _perplexity(found: Sequence[Answered]) -> float:
    return perplexity_of(-sum(scores[0] for scores, _ in found) / len(found))


def _compare(task: Task, own: Sequence[int], theirs: Sequence[int]) -> TaskComparison:
    n = len(task.items)
    right, was_right = _right(task, own), _right(task, theirs)
    lost = sum(b and not a for a, b in zip(right, was_right, strict=True))
    gained = sum(a and not b for a, b in zip(right, was_right, strict=True))
    changed = sum(a != b for a, b in zip(own, theirs, strict=True))
    interval = paired_difference(gained, lost, n)
    verdict = "measurable difference"
    if not changed:
        verdict = "identical answers"
    elif interval[0] <= 0 <= interval[1]:
        verdict = "no measurable difference"
    return TaskComparison(
        verdict=verdict,
        reference_accuracy=sum(was_right) / n,
        difference=(gained - lost) / n,
        difference_ci95=interval,
        mcnemar_p=mcnemar_p(lost, gained),
        lost=lost,
        gained=gained,
        changed=changed,
    )
