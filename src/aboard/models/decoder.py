"""What a decoder-only transformer is made of, as data: blocks that name their weights.

Shapes are written as the engine multiplies: a matrix is (rows out, columns in).
D width, H and K query and KV heads, d head size, F feed-forward width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aboard.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of the checkpoint: its name and the shape it must have."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Rotary position embedding (arXiv:2104.09864).

    `pairs`: whether neighbours or halves of a head are rotated together. `divisors`: a tensor
    (rotated_dims / 2,) the frequencies are divided by (Llama 3.1). `scale` multiplies them
    (linear position interpolation, arXiv:2306.15595, is 1 / factor).
    """

    base: float
    rotated_dims: int
    pairs: Literal["adjacent", "halves"]
    divisors: Weight | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Grouped-query attention behind an RMS norm (arXiv:2305.13245)."""

    norm: Weight  # (D,)
    query: Weight  # (H d, D)
    key: Weight  # (K d, D)
    value: Weight  # (K d, D)
    output: Weight  # (D, H d)
    window: int = 0  # tokens that a token sees, itself included; 0: all before it


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedFeedForward:
    """down(silu(gate x) * up x) behind an RMS norm (arXiv:2002.05202, SwiGLU)."""

    norm: Weight  # (D,)
    gate: Weight  # (F, D)
    up: Weight  # (F, D)
    down: Weight  # (D, F)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: what its two halves add to the residual stream."""

    attention: Attention
    feed_forward: GatedFeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderModel:
    """A model's hyper-parameters and the weights it is made of.

    Raises
    ------
    ConfigError
        The hyper-parameters contradict each other.
    """

    architecture: str
    context_length: int
    width: int
    n_query_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_width: int
    n_vocabulary: int
    norm_eps: float
    rope: Rope
    embedding: Weight  # (V, D)
    layers: tuple[Layer, ...]
    final_norm: Weight  # (D,)
    head: Weight  # (V, D); the embedding itself where it is tied

    def __post_init__(self) -> None:
        if self.n_query_heads % self.n_kv_heads:
            raise ConfigError(
                f"{self.n_query_heads} query heads can't share {self.n_kv_heads} KV heads"
            )
        dims = self.rope.rotated_dims
        if dims % 2 or not 0 < dims <= self.head_dim:
            raise ConfigError(
                f"{dims} rotated dimensions, expected an even number up to the head's "
                f"{self.head_dim}"
            )

    def matrices(self) -> Iterator[Weight]:
        """Every matrix, each once."""
        yield self.embedding
        for layer in self.layers:
            attention, feed_forward = layer.attention, layer.feed_forward
            yield from (attention.query, attention.key, attention.value, attention.output)
            yield from (feed_forward.gate, feed_forward.up, feed_forward.down)
        if self.head != self.embedding:
            yield self.head

    def vectors(self) -> Iterator[Weight]:
        """Every vector, each once."""
        for layer in self.layers:
            yield layer.attention.norm
            yield layer.feed_forward.norm
        yield self.final_norm
        if self.rope.divisors is not None:
            yield self.rope.divisors
