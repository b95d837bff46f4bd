"""What all steps of fitting a checkpoint share, and the steps that look at no budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aboard.artifact.quantized import GgufWeights, Quantized, provenance, quantize_file
from aboard.artifact.types import type_entries
from aboard.checkpoint.gguf import open_gguf
from aboard.engine.head_engine import HeadEngine
from aboard.engine.layer_engine import LayerEngine
from aboard.fitting.budget import Budget
from aboard.fitting.checkpoint import OpenCheckpoint
from aboard.models.decoder import DecoderModel
from aboard.progress import Progress
from aboard.quantize.calibration import Calibration
from aboard.quantize.passes import compare
from aboard.quantize.rounding import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far a file is from the checkpoint, on the windows that are held out.

    Attributes
    ----------
    by_window : (B,) float64
        The mean KL divergence of each window's tokens, in nats.
    n_tokens : int
        Of all windows.
    """

    by_window: npt.NDArray[np.float64]
    n_tokens: int

    @property
    def mean(self) -> float:
        """The mean over all tokens; windows are of one length."""
        return float(self.by_window.mean())

    @property
    def error(self) -> float | None:
        """The standard error of it over windows; None of a single one."""
        n = self.by_window.size
        return float(self.by_window.std(ddof=1) / math.sqrt(n)) if n > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A checkpoint that is fitted.

    Attributes
    ----------
    named : Path
        The checkpoint as it was given.
    checkpoint : OpenCheckpoint
        The GGUF file that it is, or that was made of it.
    source_sha256 : str
        The hash of that.
    out : Path
        The new file.
    budget : Budget
        What it may take or lose.
    method : Method
        How codes are chosen.
    texts : mapping of str to str
        The user's, by their names.
    n_tokens : int
        Of the calibration, at most.
    calibration : Calibration
        The tokens whose errors count.
    allocation : str
        How formats are chosen, as the file says it.
    threads : int
        That compute.
    measured : Path or None
        Where what was measured is left; None: nowhere, once the file is there.
    progress : callable
        Called as ``(stage, done, total)``.
    """

    named: Path
    checkpoint: OpenCheckpoint
    source_sha256: str
    out: Path
    budget: Budget
    method: Method
    texts: Mapping[str, str]
    n_tokens: int
    calibration: Calibration
    allocation: str
    threads: int
    measured: Path | None
    progress: Progress

    def beside(self, what: str) -> Path:
        """Where what is found on the way is kept: beside what was measured, or the new file."""
        if self.measured is not None:
            return self.measured.with_name(f"{self.measured.name}.{what}")
        return self.out.with_name(f".{self.out.name}.{what}")

    @property
    def n_weights(self) -> int:
        """Of all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.checkpoint.tensors)

    @property
    def metadata(self) -> dict[str, object]:
        """Of the new file, with the types that tensors have now: of the same length."""
        types = type_entries(self.checkpoint.tensors)
        made = provenance(self.checkpoint.metadata, self.calibration, self.method)
        return self.checkpoint.metadata | types | made | self._entries

    def open_layer(self, model: DecoderModel, index: int) -> LayerEngine:
        """The engine of a layer."""
        return LayerEngine(model, index, self.threads)

    def open_head(self, model: DecoderModel) -> HeadEngine:
        """The engine of the head."""
        return HeadEngine(model, self.threads)

    def quantize(
        self, assignment: Mapping[str, str], out: Path | None = None, stage: str = ""
    ) -> Quantized:
        """Write the file with these formats of tensors; `stage`: what stands before stages."""
        grids = self.checkpoint.grids
        return quantize_file(
            self.checkpoint.path,
            out or self.out,
            assignment,
            calibration=self.calibration,
            open_layer=self.open_layer,
            method=self.method,
            grids={name: form for name, form in grids.items() if name not in assignment},
            entries=self._entries,
            threads=self.threads,
            progress=lambda name, *at: self.progress(stage + name, *at),
        )

    def compare(self, out: Path | None = None, stage: str = "") -> Compared:
        """How far the file is from the checkpoint."""
        with ExitStack() as opened:
            other = opened.enter_context(open_gguf(out or self.out))
            kl = compare(
                self.checkpoint.model,
                self.checkpoint.weights,
                GgufWeights(other),
                self.calibration.windows[-self.calibration.n_held_out :],
                open_layer=self.open_layer,
                open_head=self.open_head,
                progress=lambda name, *at: self.progress(stage + name, *at),
            )
        return Compared(by_window=kl.mean(axis=1), n_tokens=kl.size)

    @property
    def _entries(self) -> dict[str, object]:
        """Entries of the file that tell how its formats were chosen."""
        return {
            "aboard.quantize.allocation": self.allocation,
            "aboard.quantize.source_sha256": self.source_sha256,
        }
