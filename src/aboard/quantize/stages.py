"""Which tensors of a layer share their inputs, and in which order the inputs come to be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aboard.models.decoder import Layer, Weight

Half = Literal["mix", "feed", "end"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Matrices that are multiplied with the same inputs.

    Attributes
    ----------
    half : str
        "mix", where a layer mixes tokens, "feed", where it takes each for itself, or "end": the
        head behind the last layer.
    inner : bool
        Whether they end their half, so that their inputs depend on its other matrices.
    tensors : tuple of str
        Their names; tensors of which several matrices are made stand there once.
    """

    half: Half
    inner: bool
    tensors: tuple[str, ...]


def stages_of(layer: Layer) -> tuple[Stage, ...]:
    """The stages of `layer`, each of which the ones before it decide."""
    feed = layer.feed_forward
    outer, inner = _mixing(layer)
    return (
        Stage("mix", inner=False, tensors=_names(outer)),
        Stage("mix", inner=True, tensors=_names([inner])),
        Stage("feed", inner=False, tensors=_names([feed.gate.weight, feed.up.weight])),
        Stage("feed", inner=True, tensors=_names([feed.down.weight])),
    )


def _mixing(layer: Layer) -> tuple[list[Weight], Weight]:
    if (attention := layer.attention) is not None:
        linears = (attention.query, attention.key, attention.value)
        return [each.weight for each in linears if each is not None], attention.output.weight
    if (conv := layer.short_conv) is not None:
        return [conv.in_gate, conv.out_gate, conv.input], conv.output
    delta = layer.delta_net
    assert delta is not None, "a layer mixes tokens"
    return [delta.mixed, delta.gate, delta.alpha, delta.beta], delta.output


def _names(weights: Iterable[Weight]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(weight.name for weight in weights))
