"""The loaded model on a device, and the sessions that run it.

>>> from aboard.engine import load
>>> model = load("model.gguf")                     # doctest: +SKIP
>>> session = model.session()                      # doctest: +SKIP
"""

from __future__ import annotations

from aboard.engine.answer import Step, Timing
from aboard.engine.model import Model, load
from aboard.engine.sampling import Sampling
from aboard.engine.session import Session
from aboard.engine.speculation_draft import DraftModel
from aboard.engine.speculation_lookup import PromptLookup

__all__ = [
    "DraftModel",
    "Model",
    "PromptLookup",
    "Sampling",
    "Session",
    "Step",
    "Timing",
    "load",
]
