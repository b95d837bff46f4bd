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
    `keys_of`: the earlier layer whose keys and values it reads, instead of having its own.
    """

    n_kv_heads: int  # K
    head_dim: int  # d
    query: Linear  # (H d, D)
    key: Linear | None  # (K d, D)
    value: Linear | None  # (K d, D); None: values are what keys are before their norm
    output: Linear  # (D, H d)
    norm: Weight | None = None  # (D,)
    post_norm: Weight | None = None  # (D,)
    query_norm: Weight | None = None
    key_norm: Weight | None = None
    norm_values: bool = False  # each head of values is normed, by no weights
    keys_of: int | None = None
    gated: bool = False  # behind the rows of a head's query stand those of its gate: (2 H d, D)
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
class ShortConv:
    """output(out_gate x * conv(in_gate x * input x)), with an RMS norm before it.

    `conv` sums each column over the last n tokens, multiplied by `taps`, the last column of which
    is that of the token itself (LFM2, arXiv:2511.23404).
    """

    in_gate: Weight  # (D, D)
    out_gate: Weight  # (D, D)
    input: Weight  # (D, D)
    taps: Weight  # (D, n)
    output: Weight  # (D, D)
    norm: Weight | None = None  # (D,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNet:
    """A gated delta net (arXiv:2412.06464), with an RMS norm before it.

    Queries and keys (G heads of d), and values (H heads of d), one after another in `mixed`, go
    through a convolution and SiLU; queries and keys become unit vectors. A head's state S, (d, d),
    is multiplied by e^(`decay` softplus(alpha x + `time_step`)); then sigmoid(beta x) of what
    S lacks to give the value for the key is added: S k = v; it gives S q. `head_norm` norms it, and
    it is multiplied by SiLU(gate x). Head i of the values belongs to head i mod G of the keys.
    """

    mixed: Weight  # (2 G d + H d, D)
    gate: Weight  # (H d, D)
    alpha: Weight  # (H, D)
    beta: Weight  # (H, D)
    taps: Weight  # (2 G d + H d, n)
    decay: Weight  # (H,), negative
    time_step: Weight  # (H,)
    head_norm: Weight  # (d,)
    output: Weight  # (D, H d)
    n_key_heads: int  # G
    norm: Weight | None = None  # (D,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBlock:
    """output(function(gate x) * what the layer knows of the token), with an RMS norm after it."""

    gate: Weight  # (P, D)
    output: Weight  # (D, P)
    post_norm: Weight | None = None  # (D,)
    function: Literal["silu", "gelu"] = "gelu"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEmbedding:
    """What each of L layers knows of a token, P values, whatever came before it (Gemma 3n and 4).

    `sum_scale` (norm(`projection_scale` projection x) + `table_scale` row): x is the embedding,
    and the norm is one of P values.
    """

    table: Weight  # (V, L P): a row of it for each token
    projection: Weight  # (L P, D)
    norm: Weight  # (P,)
    table_scale: float
    projection_scale: float
    sum_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: what its halves add to the residual stream, and what multiplies that at the end.

    The first of them mixes tokens, in one of three ways; `token` comes last.
    """

    attention: Attention | None = None
    short_conv: ShortConv | None = None
    delta_net: DeltaNet | None = None
    feed_forward: GatedFeedForward
    token: TokenBlock | None = None
    scale: Weight | None = None  # (1,)

    def __post_init__(self) -> None:
        if [self.attention, self.short_conv, self.delta_net].count(None) != 2:
            raise ConfigError("a layer has either attention, a convolution or a delta net")

    @property
    def stands_alone(self) -> bool:
        """Whether it depends on hidden states alone: no other layer's keys, nothing of tokens."""
        return self.token is None and (self.attention is None or self.attention.keys_of is None)


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
    n_vocabulary: int
    norm_eps: float
    embedding: Weight  # (V, D)
    layers: tuple[Layer, ...]
    final_norm: Weight  # (D,)
    head: Weight  # (V, D); the embedding itself where it is tied
    score_scale: float  # multiplies attention's scores
    score_cap: float = 0.0  # scores become cap * tanh(score / cap); 0: they don't
    embedding_scale: float = 1.0  # multiplies embeddings
    residual_scale: float = 1.0  # multiplies what a block adds
    logit_scale: float = 1.0  # multiplies logits
    logit_cap: float = 0.0  # logits become cap * tanh(logit / cap), after that; 0: they don't
    temperature: Temperature | None = None
    layer_embedding: LayerEmbedding | None = None
    unused: frozenset[str] = frozenset()  # tensors that may be there and change no answer

    def __post_init__(self) -> None:
        for layer in self.layers:
            if layer.attention is not None:
                self._check(layer.attention)

    def _check(self, attention: Attention) -> None:
        if self.n_query_heads % attention.n_kv_heads:
            raise ConfigError(
                f"{self.n_query_heads} query heads can't share {attention.n_kv_heads} KV heads"
            )
        rope, head_dim = attention.rope, attention.head_dim
        if rope is not None and (rope.rotated_dims % 2 or not 0 < rope.rotated_dims <= head_dim):
            raise ConfigError(
                f"{rope.rotated_dims} rotated dimensions, expected an even number up to the "
                f"head's {head_dim}"
            )

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The different ropes of the layers, in order."""
        found = (layer.attention.rope for layer in self.layers if layer.attention is not None)
        return tuple(dict.fromkeys(rope for rope in found if rope is not None))

    def matrices(self) -> Iterator[Weight]:
        """Every matrix, each once."""
        yield self.embedding
        if self.layer_embedding is not None:
            yield from (self.layer_embedding.table, self.layer_embedding.projection)
        for linear in self._linears():
            yield linear.weight
        if self.head != self.embedding:
            yield self.head

    def vectors(self) -> Iterator[Weight]:
        """Every vector, and the taps of every convolution, each once."""
        found: list[Weight | None] = [linear.bias for linear in self._linears()]
        for layer in self.layers:
            attention, conv, feed_forward = layer.attention, layer.short_conv, layer.feed_forward
            if attention is not None:
                found += (attention.norm, attention.post_norm)
                found += (attention.query_norm, attention.key_norm)
            if conv is not None:
                found += (conv.norm, conv.taps)
            if (delta := layer.delta_net) is not None:
                found += (delta.norm, delta.taps, delta.decay, delta.time_step, delta.head_norm)
            found += (feed_forward.norm, feed_forward.post_norm)
            found.append(layer.scale)
            if layer.token is not None:
                found.append(layer.token.post_norm)
        if self.layer_embedding is not None:
            found.append(self.layer_embedding.norm)
        found.append(self.final_norm)
        for rope in self.ropes:
            found += (rope.divisors, rope.long_divisors)
        yield from dict.fromkeys(vector for vector in found if vector is not None)

    def _linears(self) -> Iterator[Linear]:
        for layer in self.layers:
            attention, conv, feed_forward = layer.attention, layer.short_conv, layer.feed_forward
            if attention is not None:
                parts = (attention.query, attention.key, attention.value, attention.output)
                yield from (part for part in parts if part is not None)
            if conv is not None:
                matrices = (conv.in_gate, conv.out_gate, conv.input, conv.output)
                yield from (Linear(matrix) for matrix in matrices)
            if (delta := layer.delta_net) is not None:
                found = (delta.mixed, delta.gate, delta.alpha, delta.beta, delta.output)
                yield from (Linear(matrix) for matrix in found)
            yield from (feed_forward.gate, feed_forward.up, feed_forward.down)
            if layer.token is not None:
                yield from (Linear(layer.token.gate), Linear(layer.token.output))
