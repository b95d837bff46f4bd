"""The loaded model on a device, and the sessions that run it.

>>> from aboard.engine import load
>>> model = load("model.gguf")                     # doctest: +SKIP
>>> session = model.session()                      # doctest: +SKIP
"""

from __future__ import annotations

from aboard.constrain import Grammar
from aboard.engine.answer_state import Step, Timing
from aboard.engine.embedding import EmbeddingModel
from aboard.engine.loading import load
from aboard.engine.model import Model
from aboard.engine.sampling import Sampling
from aboard.engine.scheduler import Scheduler
from aboard.engine.scheduler_request import Request
from aboard.engine.session import Session
from aboard.engine.speculation_draft import DraftModel
from aboard.engine.speculation_lookup import PromptLookup

__all__ = [
    "DraftModel",
    "EmbeddingModel",
    "Grammar",
    "Model",
    "PromptLookup",
    "Request",
    "Sampling",
    "Scheduler",
    "Session",
    "Step",
    "Timing",
    "load",
]
