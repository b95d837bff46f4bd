"""Aboard puts a small language model on board the software you ship.

>>> import aboard
>>> model = aboard.load("model.gguf")            # doctest: +SKIP
>>> model.generate("Hello", max_tokens=8)         # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aboard.errors import AboardError

if TYPE_CHECKING:
    from aboard.engine import (
        DraftModel,
        EmbeddingModel,
        Grammar,
        Model,
        PromptLookup,
        Sampling,
        Session,
        Step,
        load,
    )

__all__ = [
    "AboardError",
    "DraftModel",
    "EmbeddingModel",
    "Grammar",
    "Model",
    "PromptLookup",
    "Sampling",
    "Session",
    "Step",
    "load",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The engine brings NumPy and the native module: not before they are used.
    if name in __all__:
        from aboard import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'aboard' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
