"""What an encoder-only transformer is made of, as data: it turns a text into one vector.

Shapes are written as in `aboard.models.decoder`. P is the number of positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aboard.errors import ConfigError
from aboard.models.decoder import Linear, Weight


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Mean and variance taken out (arXiv:1607.06450): its weights and what is added, (D,) each."""

    weight: Weight
    bias: Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLayer:
    """One layer: attention to all tokens, then GELU between two matrices.

    What a half adds is summed with what goes into it, and the sum is normed.
    """

    query: Linear  # (D, D), as key, value and output
    key: Linear
    value: Linear
    output: Linear
    attention_norm: LayerNorm
    up: Linear  # (F, D)
    down: Linear  # (D, F)
    output_norm: LayerNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderModel:
    """A model's hyper-parameters and the weights it is made of.

    Attributes
    ----------
    context_length : int
        Tokens of a text at most; P.
    text_length : int
        Tokens of a text at most unless more are asked for: what the model's makers cut texts to.
    pooling : str
        What a text's vector is: the "mean" of its tokens' vectors, or that of the "first".
    normalizes : bool
        Whether the model's makers divide the vector by its length.

    Raises
    ------
    ConfigError
        The hyper-parameters contradict each other.
    """

    architecture: str
    context_length: int
    text_length: int
    width: int
    n_heads: int
    ffn_width: int
    n_vocabulary: int
    norm_eps: float
    embedding: Weight  # (V, D)
    positions: Weight  # (P, D)
    token_types: Weight | None  # (kinds, D); the first is added to every token
    norm: LayerNorm
    layers: tuple[EncoderLayer, ...]
    pooling: Literal["mean", "first"]
    normalizes: bool

    def __post_init__(self) -> None:
        if self.width % self.n_heads or self.width // self.n_heads > 4096:
            raise ConfigError(f"a width of {self.width} can't be shared by {self.n_heads} heads")
        if not 0 < self.text_length <= self.context_length:
            raise ConfigError(
                f"texts of {self.text_length} tokens, but there are {self.context_length} positions"
            )

    @property
    def head_dim(self) -> int:
        """Values of a head."""
        return self.width // self.n_heads

    def matrices(self) -> Iterator[Weight]:
        """Every matrix, each once."""
        yield self.embedding
        yield self.positions
        if self.token_types is not None:
            yield self.token_types
        for linear in self._linears():
            yield linear.weight

    def vectors(self) -> Iterator[Weight]:
        """Every vector, each once."""
        norms = [self.norm]
        for layer in self.layers:
            norms += (layer.attention_norm, layer.output_norm)
        for norm in norms:
            yield from (norm.weight, norm.bias)
        for linear in self._linears():
            if linear.bias is not None:
                yield linear.bias

    def _linears(self) -> Iterator[Linear]:
        for layer in self.layers:
            yield from (layer.query, layer.key, layer.value, layer.output, layer.up, layer.down)
