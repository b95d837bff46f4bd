"""Puts the native decoder together: hyper-parameters and packed weights, block by block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aboard.engine.weights import Weights
from aboard.errors import ConfigError
from aboard.models import DecoderModel

if TYPE_CHECKING:
    from aboard._native import Decoder

_LARGEST_ANGLE = 2.0**31  # up to there the engine's sine and cosine hold (native/engine/rope.cc)


def build_decoder(config: DecoderModel, weights: Weights, threads: int, kv: str = "f16") -> Decoder:
    """The native decoder over packed `weights`; `threads` compute, `kv` is how its caches store.

    Raises
    ------
    ConfigError
        The rope's frequencies are no use over the model's context.
    """
    from aboard import _native

    matrices, vectors = weights.matrices, weights.vectors
    decoder = _native.Decoder(
        embedding=matrices[config.embedding.name],
        final_norm=vectors[config.final_norm.name],
        head=matrices[config.head.name],
        query_heads=config.n_query_heads,
        kv_heads=config.n_kv_heads,
        head_dim=config.head_dim,
        ffn_width=config.ffn_width,
        norm_eps=config.norm_eps,
        score_scale=1.0 / math.sqrt(config.head_dim),
        rope_pairs=config.rope.pairs,
        rope_frequencies=_rope_frequencies(config, weights),
        threads=threads,
        kv=kv,
    )
    for layer in config.layers:
        attention, feed_forward = layer.attention, layer.feed_forward
        decoder.add_layer(
            attention_norm=vectors[attention.norm.name],
            query=matrices[attention.query.name],
            key=matrices[attention.key.name],
            value=matrices[attention.value.name],
            output=matrices[attention.output.name],
            ffn_norm=vectors[feed_forward.norm.name],
            gate=matrices[feed_forward.gate.name],
            up=matrices[feed_forward.up.name],
            down=matrices[feed_forward.down.name],
            window=attention.window,
        )
    return decoder


def _rope_frequencies(config: DecoderModel, weights: Weights) -> list[float]:
    """Radians a position, one for each pair of values of a head; sound over the whole context."""
    from aboard import _native

    rope = config.rope
    divisors = [] if rope.divisors is None else weights.vectors[rope.divisors.name].tolist()
    if any(divisor <= 0 for divisor in divisors):
        raise ConfigError(f"a divisor of the rope frequencies is {min(divisors)}, expected above 0")
    found = _native.rope_frequencies(rope.base, rope.rotated_dims, divisors, rope.scale)
    if max(found) * config.context_length >= _LARGEST_ANGLE:
        raise ConfigError(
            f"the rope turns by {max(found):.3g} radians a token, too far to tell "
            f"{config.context_length} positions apart",
            hint="The base, the scaling factor or the divisors in the file are damaged.",
        )
    return found
