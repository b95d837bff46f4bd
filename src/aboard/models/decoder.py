"""What a decoder-only transformer is made of, as data: blocks that name their weights.

Shapes are written as the engine multiplies: a matrix is (rows out, columns in).
D width, H and K query and KV heads, d head size, F feed-forward width, V vocabulary.
What a model doesn't have is None, 0 or 1: see the fields' defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aboard.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of the checkpoint, or some rows of one: its name and the shape it must have.

    `first_row` and `of_rows`: of a part, where it begins and how many rows the whole tensor has;
    the parts of a tensor follow each other and leave nothing out.
    """

    name: str
    shape: tuple[int, ...]
    first_row: int = 0
    of_rows: int | None = None

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """The shape of the whole tensor."""
        return self.shape if self.of_rows is None else (self.of_rows, *self.shape[1:])

    @property
    def label(self) -> str:
        """What it is called in memory: the tensor's name, with the rows where it is a part."""
        if self.of_rows is None:
            return self.name
        return f"{self.name}[{self.first_row}:{self.first_row + self.shape[0]}]"


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix and what is added to its product."""

    weight: Weight
    bias: Weight | None = None  # (rows,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Yarn:
    """Positions stretched by parts (arXiv:2309.00071): slow pairs by `factor`, fast ones not.

    A pair that turns more than `beta_fast` times over the original context is fast, less than
    `beta_slow` times slow, and what is between goes from one to the other.
    """

    factor: float
    original_context: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Rotary position embedding (arXiv:2104.09864).

    `pairs`: whether neighbours or halves of what is rotated are rotated together. `divisors`: a
    tensor (rotated_dims / 2,) the frequencies are divided by (Llama 3.1). `scale` multiplies them
    (linear position interpolation, arXiv:2306.15595, is 1 / factor). `long_divisors`: those for
    contexts of more than `original_context` tokens (LongRoPE, arXiv:2402.13753). `growth`
    multiplies cosine and sine; None: 1, or with `yarn` 0.1 ln(factor) + 1, divided by
    0.1 `growth_divisor` ln(factor) + 1.
    """

    base: float
    rotated_dims: int
    pairs: Literal["adjacent", "halves"]
    divisors: Weight | None = None
    long_divisors: Weight | None = None
    original_context: int | None = None
    scale: float = 1.0
    yarn: Yarn | None = None
    growth: float | None = None
    growth_divisor: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Grouped-query attention (arXiv:2305.13245), with RMS norms before and after it.

    `query_norm` and `key_norm` norm each head, (d,), or all of them together, (H d,) and (K d,).
    """

    query: Linear  # (H d, D)
    key: Linear  # (K d, D)
    value: Linear  # (K d, D)
    output: Linear  # (D, H d)
    norm: Weight | None = None  # (D,)
    post_norm: Weight | None = None  # (D,)
    query_norm: Weight | None = None
    key_norm: Weight | None = None
    window: int = 0  # tokens that a token sees, itself included; 0: all before it
    rope: Rope | None = None  # None: the layer knows no positions


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedFeedForward:
    """down(function(gate x) * up x), with RMS norms before and after it (arXiv:2002.05202).

    `function`: silu, x / (1 + e^-x), or gelu, as tanh approximates it (arXiv:1606.08415).
    """

    gate: Linear  # (F, D)
    up: Linear  # (F, D)
    down: Linear  # (D, F)
    norm: Weight | None = None  # (D,)
    post_norm: Weight | None = None  # (D,)
    function: Literal["silu", "gelu"] = "silu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: what its two halves add to the residual stream."""

    attention: Attention
    feed_forward: GatedFeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Queries are multiplied by 1 + `strength` ln(1 + floor(position / `context`))."""

    strength: float
    context: int


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
    embedding: Weight  # (V, D)
    layers: tuple[Layer, ...]
    final_norm: Weight  # (D,)
    head: Weight  # (V, D); the embedding itself where it is tied
    score_scale: float | None = None  # multiplies attention's scores; None: 1 / sqrt(d)
    score_cap: float = 0.0  # scores become cap * tanh(score / cap); 0: they don't
    embedding_scale: float = 1.0  # multiplies embeddings
    residual_scale: float = 1.0  # multiplies what a block adds
    logit_scale: float = 1.0  # multiplies logits
    logit_cap: float = 0.0  # logits become cap * tanh(logit / cap), after that; 0: they don't
    temperature: Temperature | None = None

    def __post_init__(self) -> None:
        if self.n_query_heads % self.n_kv_heads:
            raise ConfigError(
                f"{self.n_query_heads} query heads can't share {self.n_kv_heads} KV heads"
            )
        for rope in self.ropes:
            dims = rope.rotated_dims
            if dims % 2 or not 0 < dims <= self.head_dim:
                raise ConfigError(
                    f"{dims} rotated dimensions, expected an even number up to the head's "
                    f"{self.head_dim}"
                )

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The different ropes of the layers, in order."""
        found = (layer.attention.rope for layer in self.layers)
        return tuple(dict.fromkeys(rope for rope in found if rope is not None))

    def matrices(self) -> Iterator[Weight]:
        """Every matrix, each once."""
        yield self.embedding
        for linear in self._linears():
            yield linear.weight
        if self.head != self.embedding:
            yield self.head

    def vectors(self) -> Iterator[Weight]:
        """Every vector, each once."""
        found: list[Weight | None] = [linear.bias for linear in self._linears()]
        for layer in self.layers:
            attention, feed_forward = layer.attention, layer.feed_forward
            found += (attention.norm, attention.post_norm)
            found += (attention.query_norm, attention.key_norm)
            found += (feed_forward.norm, feed_forward.post_norm)
        found.append(self.final_norm)
        for rope in self.ropes:
            found += (rope.divisors, rope.long_divisors)
        yield from dict.fromkeys(vector for vector in found if vector is not None)

    def _linears(self) -> Iterator[Linear]:
        for layer in self.layers:
            attention, feed_forward = layer.attention, layer.feed_forward
            yield from (attention.query, attention.key, attention.value, attention.output)
            yield from (feed_forward.gate, feed_forward.up, feed_forward.down)
