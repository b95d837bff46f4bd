"""Aboard puts a small language model on board the software you ship.

>>> import aboard
>>> model = aboard.load("model.gguf")            # doctest: +SKIP
>>> model.generate("Hello", max_tokens=8)         # doctest: +SKIP
"""

from __future__ import annotations

from aboard.errors import AboardError

__all__ = ["AboardError"]
__version__ = "0.1.0"
