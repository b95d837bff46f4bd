"""What a model is worth: how well it predicts a text, and whether its file is sound.

>>> from aboard.evaluate import check, perplexity
>>> check("model.gguf").sound                                          # doctest: +SKIP
True
>>> perplexity(model.logits, model.tokenizer.encode(text)).perplexity  # doctest: +SKIP
17.4
"""

from __future__ import annotations

from aboard.evaluate.perplexity import Forward, Perplexity, perplexity, token_losses
from aboard.evaluate.report import Finding, Outcome, Report
from aboard.evaluate.soundness import CHECKS, check

__all__ = [
    "CHECKS",
    "Finding",
    "Forward",
    "Outcome",
    "Perplexity",
    "Report",
    "check",
    "perplexity",
    "token_losses",
]
