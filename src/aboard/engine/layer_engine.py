"""One layer of a model by itself: hidden states in, hidden states or the inputs of matrices out.

What calibration needs of the engine. The layer is computed by the very code that answers are, with
int8 activations, so the inputs of its matrices are those of the file that ships; and whatever
architecture the engine runs can be calibrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard import formats
from aboard.engine.arguments import ACTIVATIONS, checked_choice
from aboard.engine.assembly import build_decoder
from aboard.engine.device import checked_threads, use_isa_of_environment
from aboard.engine.weights import Float32, Weights
from aboard.errors import CorruptTensor, UnsupportedFile
from aboard.models.decoder import DecoderModel, Weight

if TYPE_CHECKING:
    from aboard._native import Decoder, Matrix

TOKENS_AT_ONCE = 4096
_VALUES_AT_ONCE = 1 << 24  # of the widest inputs: 64 MiB
_NOTHING = "(no embedding)"


class LayerEngine:
    """Layer `index` of `model`, whose tensors come one by one.

    Parameters
    ----------
    model : DecoderModel
        The whole of it.
    index : int
        Which layer.
    threads : int, optional
        By default one for each usable core; no result depends on it.
    activations : str
        "int8", as answers are computed, or "float32", to compare with others.

    Raises
    ------
    UnsupportedFile
        The layer reads keys of another one, or what is known of tokens beside hidden states.
    """

    def __init__(
        self,
        model: DecoderModel,
        index: int,
        threads: int | None = None,
        activations: str = "int8",
    ) -> None:
        layer = model.layers[index]
        if not layer.stands_alone:
            raise UnsupportedFile(
                f"layer {index} of a {model.architecture} depends on more than its hidden states",
                hint="Such a model can't be calibrated yet: import it to a type, with --type.",
            )
        nothing = Weight(_NOTHING, (1, model.width))
        self._model = replace(model, layers=(layer,), embedding=nothing, head=nothing)
        self._threads = checked_threads(threads)
        checked_choice("activations", activations, ACTIVATIONS)
        self._kv = "f16" if activations == "int8" else "f32"
        self._matrices = {
            weight.label: room("F16", weight.shape) for weight in self._model.matrices()
        }
        self._vectors: dict[str, Float32] = {
            weight.name: np.ones(weight.shape, np.float32) for weight in self._model.vectors()
        }
        self._widest = max(weight.shape[1] for weight in self._model.matrices())
        self._parts: dict[str, list[Weight]] = {}
        for weight in self._model.matrices():
            self._parts.setdefault(weight.name, []).append(weight)
        self._decoder: Decoder | None = None
        use_isa_of_environment()

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the tensors that it takes: matrices, vectors, taps of convolutions."""
        return tuple(name for name in self._parts if name != _NOTHING) + tuple(self._vectors)

    def put(self, name: str, format: str, packed: npt.NDArray[np.uint8]) -> None:
        """Give it a tensor, or another in place of one.

        Parameters
        ----------
        name : str
            One of `tensors`.
        format : str
            A name of `aboard.formats`.
        packed : (n,) uint8
            All bytes of the tensor, as they stand in a GGUF file.

        Raises
        ------
        CorruptTensor
            It holds NaN or infinity.
        """
        self._decoder = None
        if name in self._vectors:
            form = formats.by_name(format)
            values = form.decode(packed.reshape(-1, form.BLOCK_BYTES))
            self._vectors[name] = np.ascontiguousarray(values.reshape(self._vectors[name].shape))
            return
        row_bytes = packed.size // self._parts[name][0].tensor_shape[0]
        for part in self._parts[name]:
            first, rows = part.first_row, part.shape[0]
            matrix = room(format, part.shape)
            bad = matrix.pack(packed[first * row_bytes : (first + rows) * row_bytes], 0)
            if bad is not None:
                raise CorruptTensor(f"tensor {name!r}: row {first + bad} holds NaN or infinity")
            self._matrices[part.label] = matrix

    def inputs(self, half: str, inner: bool, hidden: Float32) -> Iterator[Float32]:
        """What goes into some matrices, a few sequences of `hidden` at a time, in order.

        Parameters
        ----------
        half, inner
            Of a `aboard.quantize.stages.Stage`.
        hidden : (B, T, D) float32
            What comes into this half, of B sequences; it stays as it is.

        Yields
        ------
        (n, K) float32
            Of a few whole sequences.
        """
        decoder = self._ready()
        for some in self._portions(hidden):
            yield decoder.tap_inputs(half, inner, some)

    def run(self, half: str, hidden: Float32) -> None:
        """Take `hidden`, (B, T, D) float32, through a half of the layer, in place."""
        decoder = self._ready()
        for some in self._portions(hidden):
            decoder.run_half(half, some)

    def _portions(self, hidden: Float32) -> Iterator[Float32]:
        n_tokens = min(TOKENS_AT_ONCE, _VALUES_AT_ONCE // self._widest)
        step = max(1, n_tokens // hidden.shape[1])
        for first in range(0, hidden.shape[0], step):
            yield hidden[first : first + step]

    def _ready(self) -> Decoder:
        if self._decoder is None:
            weights = Weights(self._matrices, self._vectors, "")
            self._decoder = build_decoder(self._model, weights, self._threads, self._kv)
        return self._decoder


def room(format: str, shape: tuple[int, ...]) -> Matrix:
    """A matrix that takes memory when it is packed."""
    from aboard import _native

    arena = _native.Arena(_native.packed_size(format, shape[0], shape[1]))
    return _native.Matrix(arena, format, shape[0], shape[1])
