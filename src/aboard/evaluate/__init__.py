"""What a model is worth: how well it predicts a text, and whether its file is sound.

>>> from aboard.evaluate import check, perplexity
>>> check("model.gguf").sound                                          # doctest: +SKIP
True
>>> perplexity(model.logits, model.tokenizer.encode(text)).perplexity  # doctest: +SKIP
17.4
"""

from __future__ import annotations

from aboard.evaluate.evaluating import evaluate, evaluate_together
from aboard.evaluate.evaluation import Evaluated, Evaluation
from aboard.evaluate.perplexity import Forward, Perplexity, perplexity, token_losses
from aboard.evaluate.report import Finding, Outcome, Report
from aboard.evaluate.soundness import CHECKS, check
from aboard.evaluate.task_scores import TaskComparison, TaskScores
from aboard.evaluate.text_scores import Comparison, SequenceScores, TextScores

__all__ = [
    "CHECKS",
    "Comparison",
    "Evaluated",
    "Evaluation",
    "Finding",
    "Forward",
    "Outcome",
    "Perplexity",
    "Report",
    "SequenceScores",
    "TaskComparison",
    "TaskScores",
    "TextScores",
    "check",
    "evaluate",
    "evaluate_together",
    "perplexity",
    "token_losses",
]
