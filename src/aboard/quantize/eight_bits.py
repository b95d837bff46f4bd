"""A model at 8 bits a weight, near enough to lossless, half a layer after the other.

One layer is in memory, and is read and rounded again by each walk through the model. So what walks
through it does so side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from aboard import formats
from aboard.formats import bits_of
from aboard.models.decoder import DecoderModel
from aboard.quantize.gram import Float32
from aboard.quantize.passes import Ids, embed, filled, rows_of_source
from aboard.quantize.quantizing import LayerEngine, OpenLayer
from aboard.quantize.rounding import Bytes, Source, decoded, row_runs
from aboard.quantize.stages import Half

_BITS = 8.5
_HALVES: tuple[Half, Half] = ("mix", "feed")


class Travelling(Protocol):
    """What has hidden states, (B, T, D) float32."""

    hidden: Float32


Traveller = TypeVar("Traveller", bound=Travelling)
Join = Callable[[int, LayerEngine, Float32], Iterable[Traveller]]
"""Gives travellers that begin at a place, an engine and the base's hidden states being given; their
hidden states are those behind that half."""


class EightBits:
    """A model whose matrices are Q8_0, but for those that have as few bits already.

    Parameters
    ----------
    model : DecoderModel
        What it is.
    source : Source
        Its weights.
    open_layer : callable
        Gives the engine of a layer.
    """

    def __init__(self, model: DecoderModel, source: Source, open_layer: OpenLayer) -> None:
        self._model, self._source, self._open_layer = model, source, open_layer
        self._index = -1
        self._layer: LayerEngine | None = None

    @property
    def n_halves(self) -> int:
        """Of all layers: the places of hidden states are 0 to this, before each and at the end."""
        return 2 * len(self._model.layers)

    def half(self, place: int) -> Half:
        """Which half of a layer begins at a place."""
        return _HALVES[place % 2]

    def layer(self, index: int) -> LayerEngine:
        """The engine of a layer. What is put into it is to be taken out again."""
        if self._layer is None or index != self._index:
            self._layer = None  # before there is another
            self._layer = filled(self._open_layer(self._model, index), self)
            self._index = index
        return self._layer

    def walk(
        self,
        hidden: Float32,
        begin: int,
        end: int,
        setting_out: Iterable[Traveller],
        join: Join[Traveller],
        ran: Callable[[int], None] = lambda n_halves: None,
    ) -> list[Traveller]:
        """Take travellers to the end, and the base's own `hidden` from `begin` to `end`, in place.

        Parameters
        ----------
        hidden : (B, T, D) float32
            What the base computes.
        begin, end : int
            Places.
        setting_out : iterable
            Travellers that begin at `begin`.
        join : callable
            Gives those that begin on the way.
        ran : callable
            Is told how many halves were computed for travellers.

        Returns
        -------
        list
            All of them.
        """
        travellers = list(setting_out)
        for place in range(begin, self.n_halves):
            if not travellers and place > end:
                break
            layer, half = self.layer(place // 2), self.half(place)
            for each in travellers:
                layer.run(half, each.hidden)
            travellers += join(place, layer, hidden)
            if travellers:
                ran(len(travellers))
            if place < end:
                layer.run(half, hidden)
            del layer  # before there is another
        return travellers

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, outermost first."""
        return self._source.shape(name)

    def pieces(self, name: str) -> tuple[str, Iterator[Bytes]]:
        """The format of a tensor and its bytes, some rows at a time."""
        form, pieces = self._source.pieces(name)
        if self._is_kept(name, form):
            return form, pieces
        runs = row_runs(self._source.shape(name))
        return "Q8_0", (self._encoded(name, *run).reshape(-1) for run in runs)

    def embedded(
        self, windows: Ids, rows_of: Callable[[Float32], Float32] | None = None
    ) -> Float32:
        """What the tokens of `windows`, (B, T), begin as: (B, T, D) float32.

        `rows_of` makes rows of the embedding, (n, D) float32, of those of the source; by default
        what they are here.
        """
        name = self._model.embedding.name
        read = rows_of_source(self._source, name)
        if rows_of is None:
            rows_of = self._rounded if not self._is_kept(name) else lambda rows: rows
        changed = rows_of
        return embed(self._model, windows, lambda ids: changed(read(ids)))

    def _is_kept(self, name: str, form: str | None = None) -> bool:
        form = form or self._source.pieces(name)[0]
        shape = self._source.shape(name)
        return len(shape) < 2 or bits_of(form) <= _BITS or shape[-1] % 32 != 0

    def _encoded(self, name: str, first: int, last: int) -> Bytes:
        return formats.encode("Q8_0", self._source.rows(name, first, last))

    @staticmethod
    def _rounded(rows: Float32) -> Float32:
        return decoded("Q8_0", formats.encode("Q8_0", rows))
