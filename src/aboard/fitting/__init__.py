"""A checkpoint made to fit so many bytes, or so little loss, and what that costs.

>>> from aboard.fitting import Budget, quantize_checkpoint
>>> made = quantize_checkpoint("SmolLM2-135M", "small.gguf", Budget(bits=4.5))   # doctest: +SKIP
>>> made.size_bytes, made.measured_kl                                            # doctest: +SKIP
(76123456, 0.041)
"""

from __future__ import annotations

from aboard.fitting.budget import Budget
from aboard.fitting.making import quantize_checkpoint
from aboard.fitting.report import FittedPart, FittedTensor, QuantizedCheckpoint

__all__ = ["Budget", "FittedPart", "FittedTensor", "QuantizedCheckpoint", "quantize_checkpoint"]
