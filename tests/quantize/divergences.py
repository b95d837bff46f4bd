"""KL divergences by NumPy, from the logits of whole models."""

from pathlib import Path

import numpy as np

import aboard


def divergence(reference: Path, other: Path, windows: np.ndarray) -> np.ndarray:
    """KL(reference || other) of each token of (B, T) windows, by log-sum-exp in float64."""
    models = aboard.load(reference), aboard.load(other)
    found = []
    for window in windows.tolist():
        p, q = (model.logits(window).astype(np.float64) for model in models)
        log_p = p - np.log(np.exp(p - p.max(1, keepdims=True)).sum(1, keepdims=True))
        log_p -= p.max(1, keepdims=True)
        log_q = q - np.log(np.exp(q - q.max(1, keepdims=True)).sum(1, keepdims=True))
        log_q -= q.max(1, keepdims=True)
        found.append((np.exp(log_p) * (log_p - log_q)).sum(1))
    return np.array(found)
