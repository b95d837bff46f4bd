"""Llama 2 (arXiv:2307.09288) and 3.x, TinyLlama, SmolLM2 and whoever else shares their layers.

Rotary embedding turns neighbouring values of a head: converters to GGUF reorder the rows of the
query and key matrices for that. Llama 3.1's frequency scaling comes as a tensor of divisors.
"""

from __future__ import annotations

from collections.abc import Mapping

from aboard.errors import ConfigError
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import Attention, DecoderModel, GatedFeedForward, Layer, Rope, Weight
from aboard.models.decoder_config import DecoderConfig
from aboard.models.hyperparameters import Hyperparameters
from aboard.models.rope_config import RopeConfig


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    given = Hyperparameters(metadata, "llama")
    width = given.integer("embedding_length")
    n_query_heads = given.integer("attention.head_count")
    n_kv_heads = given.integer("attention.head_count_kv", n_query_heads)
    head_dim = _head_dim(given, width, n_query_heads)
    ffn_width = given.integer("feed_forward_length")
    n_vocabulary = _n_vocabulary(given, metadata)
    n_layers = given.integer("block_count")
    if n_layers > 10_000:
        raise ConfigError(f"llama.block_count is {n_layers}, expected at most 10000")
    embedding = Weight("token_embd.weight", (n_vocabulary, width))
    tied = "output.weight" not in tensor_names
    model = DecoderModel(
        architecture="llama",
        context_length=given.integer("context_length"),
        width=width,
        n_query_heads=n_query_heads,
        n_kv_heads=n_kv_heads,
        head_dim=head_dim,
        ffn_width=ffn_width,
        n_vocabulary=n_vocabulary,
        norm_eps=given.number("attention.layer_norm_rms_epsilon"),
        rope=_rope(given, head_dim, tensor_names),
        embedding=embedding,
        layers=tuple(
            _layer(f"blk.{i}.", width, n_query_heads * head_dim, n_kv_heads * head_dim, ffn_width)
            for i in range(n_layers)
        ),
        final_norm=Weight("output_norm.weight", (width,)),
        head=embedding if tied else Weight("output.weight", (n_vocabulary, width)),
    )
    given.must_be("expert_count", 0)
    given.must_be("expert_used_count", 0)
    given.must_be("use_parallel_residual", False)
    given.must_be("tensor_data_layout", "Meta AI original pth")
    given.ignore("attention.layer_norm_epsilon")  # of LayerNorm, which these models don't have
    given.finish()
    return model


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    decoder = DecoderConfig("llama", config)
    config.must_be("hidden_act", "silu", "swish")
    config.must_be("attention_bias", False)
    config.must_be("mlp_bias", False)
    config.must_be("rope_interleaved", False)
    rope = RopeConfig(config, 10_000.0)
    for each in (config, rope.scaling):
        each.must_be("partial_rotary_factor", 1.0)
    decoder.rope(rope, decoder.head_dim)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=True)
        decoder.feed_forward(layer)
    decoder.head()
    return decoder.conversion()


def _head_dim(given: Hyperparameters, width: int, n_query_heads: int) -> int:
    if not given.has("attention.key_length") and width % n_query_heads:
        raise ConfigError(
            f"a width of {width} can't be shared by {n_query_heads} heads, and "
            "llama.attention.key_length is missing"
        )
    key = given.integer("attention.key_length", width // n_query_heads)
    value = given.integer("attention.value_length", key)
    if key != value or key > 4096:
        raise ConfigError(f"heads of {key} for keys and {value} for values, expected equal")
    return key


def _n_vocabulary(given: Hyperparameters, metadata: Mapping[str, object]) -> int:
    tokens = metadata.get("tokenizer.ggml.tokens")
    known = len(tokens) if hasattr(tokens, "__len__") else None
    stated = given.integer("vocab_size", known)
    if known is not None and known != stated:
        raise ConfigError(f"llama.vocab_size is {stated}, but the tokenizer has {known} tokens")
    return stated


def _rope(given: Hyperparameters, head_dim: int, tensor_names: frozenset[str]) -> Rope:
    rotated = given.integer("rope.dimension_count", head_dim)
    scaling = given.text("rope.scaling.type", "none")
    if scaling not in ("none", "linear"):
        raise ConfigError(
            f"llama.rope.scaling.type is {scaling[:40]!r}, Aboard understands 'none' and 'linear'",
            hint="The positions would be wrong, and with them the answers.",
        )
    factor = 1.0
    if scaling == "linear":
        factor = given.number("rope.scaling.factor", given.number("rope.scale_linear", 1.0))
    elif given.has("rope.scaling.factor") or given.has("rope.scale_linear"):
        given.must_be("rope.scaling.factor", 1.0, 0.0)
        given.must_be("rope.scale_linear", 1.0, 0.0)
    given.ignore("rope.scale_linear")  # the older name of the factor
    # They only document how the model was made; 'none' and 'linear' don't use them.
    given.ignore("rope.scaling.original_context_length", "rope.scaling.finetuned")
    divisors = "rope_freqs.weight"
    return Rope(
        base=given.number("rope.freq_base", 10_000.0),
        rotated_dims=rotated,
        pairs="adjacent",
        divisors=Weight(divisors, (rotated // 2,)) if divisors in tensor_names else None,
        scale=1.0 / factor,
    )


def _layer(prefix: str, width: int, query_rows: int, kv_rows: int, ffn_width: int) -> Layer:
    def weight(name: str, *shape: int) -> Weight:
        return Weight(f"{prefix}{name}.weight", shape)

    return Layer(
        attention=Attention(
            norm=weight("attn_norm", width),
            query=weight("attn_q", query_rows, width),
            key=weight("attn_k", kv_rows, width),
            value=weight("attn_v", kv_rows, width),
            output=weight("attn_output", width, query_rows),
        ),
        feed_forward=GatedFeedForward(
            norm=weight("ffn_norm", width),
            gate=weight("ffn_gate", ffn_width, width),
            up=weight("ffn_up", ffn_width, width),
            down=weight("ffn_down", width, ffn_width),
        ),
    )
