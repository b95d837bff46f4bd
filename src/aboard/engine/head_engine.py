"""The head of a model by itself: what comes behind the last norm in, logits out."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.engine.device import checked_threads, use_isa_of_environment
from aboard.engine.layer_engine import room
from aboard.engine.row_scores import pair_scores
from aboard.engine.weights import Float32
from aboard.errors import CorruptTensor, NumericalError
from aboard.models.decoder import DecoderModel

if TYPE_CHECKING:
    from aboard._native import Matrix

Float64 = npt.NDArray[np.float64]

_LOGITS_AT_ONCE = 1 << 21  # 8 MiB, for each thread
_LOGITS_KEPT = 1 << 26


class HeadEngine:
    """The head of `model`, whose weights come by `put`; bit for bit the whole model's logits.

    Parameters
    ----------
    model : DecoderModel
        The whole of it.
    threads : int, optional
        By default one for each usable core; no result depends on it.
    """

    def __init__(self, model: DecoderModel, threads: int | None = None) -> None:
        self._model = model
        self._threads = checked_threads(threads)
        self._matrix: Matrix | None = None
        use_isa_of_environment()

    def put(self, format: str, pieces: Iterable[npt.NDArray[np.uint8]]) -> None:
        """Give it the head, in the place of what it had.

        Parameters
        ----------
        format : str
            A name of `aboard.formats`.
        pieces : iterable of (n,) uint8
            The bytes of the tensor as they stand in a GGUF file; each of a multiple of 16 rows, to
            the last one.

        Raises
        ------
        CorruptTensor
            It holds NaN or infinity.
        """
        self._matrix = None  # before there is another
        matrix = room(format, self._model.head.shape)
        row_bytes = formats.file_bytes(format, (1, self._model.head.shape[1]))
        row = 0
        for piece in pieces:
            bad = matrix.pack(piece, row)
            if bad is not None:
                raise CorruptTensor(
                    f"tensor {self._model.head.name!r}: row {bad} holds NaN or infinity"
                )
            row += piece.size // row_bytes
        assert row == self._model.head.shape[0], "all rows are given"
        self._matrix = matrix

    def logits(self, inputs: Float32) -> Float32:
        """The logits, (n, V) float32, of `inputs`, (n, D) float32, which the last norm gave."""
        from aboard import _native

        assert self._matrix is not None, "put comes first"
        logits = _native.multiply(self._matrix, np.ascontiguousarray(inputs))
        if self._model.logit_scale != 1.0:
            logits *= np.float32(self._model.logit_scale)
        if self._model.logit_cap:
            logits = _native.soft_cap(logits.reshape(-1), self._model.logit_cap).reshape(
                logits.shape
            )
        return logits

    def remember(self, inputs: Float32, *, often: bool = True) -> None:
        """Take the head as it is, and `inputs`, (n, D) float32, for what others are compared with.

        Their logits are kept where others are compared `often` and they are few enough, and
        computed anew for each comparison otherwise: of 262,144 words, a thousand tokens have 1 GB
        of them.
        """
        self._reference = HeadEngine(self._model, self._threads)
        self._reference._matrix = self._matrix
        self._remembered = np.ascontiguousarray(inputs)
        self._keeps = often and len(inputs) * self._model.n_vocabulary <= _LOGITS_KEPT
        self._kept: dict[int, Float32] = {}

    def divergence(self, inputs: Float32) -> Float64:
        """KL(what is remembered || this head) of each token, (n,) float64, in nats.

        Parameters
        ----------
        inputs : (n, D) float32
            Of the same tokens.

        Raises
        ------
        NumericalError
            A logit isn't finite.
        """
        step = max(1, _LOGITS_AT_ONCE // self._model.n_vocabulary)

        def of_some(first: int) -> Float64:
            rows = slice(first, first + step)
            want = self._kept.get(first)
            if want is None:
                want = self._reference.logits(self._remembered[rows])
            if self._keeps:
                self._kept[first] = want
            got = self.logits(inputs[rows])
            return pair_scores(want, got, np.zeros(len(want), np.int32)).divergence

        with ThreadPoolExecutor(self._threads, "aboard-head") as pool:
            found = np.concatenate(list(pool.map(of_some, range(0, len(inputs), step))))
        if not np.isfinite(found).all():
            raise NumericalError("the model computes NaN or infinity instead of logits")
        return found
