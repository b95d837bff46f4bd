"""LFM2 (arXiv:2511.23404), dense: most layers mix tokens by short convolutions, not by attention.

Of a layer without attention a GGUF file says that it has 0 KV heads.
"""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.config import Config
from aboard.models.conversion import Conversion, Source, TensorRule
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import MAX_TAPS, DecoderFile
from aboard.models.rope_config import RopeConfig

_LAST_NORM = "token_embd_norm"  # as llama.cpp has it, after the name in transformers
_WIDEST = 1 << 24
_ATTENTION, _CONVOLUTION = "full_attention", "conv"
# How a model was made, before it was trained.
_BEGINNINGS = (
    *("block_mlp_init_scale", "block_out_init_scale"),
    *("block_use_xavier_init", "conv_use_xavier_init"),
)


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("lfm2", metadata, tensor_names, by_layer=True)
    rope = file.rope("halves")
    file.given.ignore("shortconv.l_cache")  # read where there are convolutions
    layers = [
        Layer(
            attention=file.attention(i, rope=rope, head_norms="each"),
            feed_forward=file.feed_forward(i),
        )
        if file.n_kv_heads[i]
        else Layer(short_conv=file.short_conv(i), feed_forward=file.feed_forward(i))
        for i in range(file.n_layers)
    ]
    return file.model(layers, final_norm=_LAST_NORM)


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    decoder = DecoderConfig(
        "lfm2", config, norm_eps="norm_eps", ffn_width=_ffn_width(config), tied=_tied(config)
    )
    _check_others(config, decoder)
    rope = RopeConfig(config, 1_000_000.0)
    decoder.rope(rope, decoder.head_dim)
    with_attention = _with_attention(config, decoder.n_layers)
    n_taps = config.integer("conv_L_cache", 3, low=2)
    if n_taps > MAX_TAPS:
        raise config.contradiction(f"conv_L_cache is {n_taps}, expected at most {MAX_TAPS}")
    decoder.set("shortconv.l_cache", n_taps)
    decoder.set(
        "attention.head_count_kv",
        [decoder.n_kv_heads if each else 0 for each in with_attention],
    )
    decoder.embedding()
    for layer, attends in enumerate(with_attention):
        decoder.tensor(
            f"blk.{layer}.attn_norm", f"model.layers.{layer}.operator_norm", decoder.width
        )
        if attends:
            _attention(decoder, layer)
        else:
            _short_conv(decoder, layer, n_taps)
        _feed_forward(decoder, layer)
    decoder.head(norm=(_LAST_NORM, "model.embedding_norm"))
    return decoder.conversion()


def _attention(decoder: DecoderConfig, layer: int) -> None:
    block, module = f"blk.{layer}.attn_", f"model.layers.{layer}.self_attn."
    width, d = decoder.width, decoder.head_dim
    rows, kv_rows = decoder.n_query_heads * d, decoder.n_kv_heads * d
    decoder.tensor(f"{block}q", f"{module}q_proj", rows, width)
    decoder.tensor(f"{block}k", f"{module}k_proj", kv_rows, width)
    decoder.tensor(f"{block}v", f"{module}v_proj", kv_rows, width)
    decoder.tensor(f"{block}output", f"{module}out_proj", width, rows)
    decoder.tensor(f"{block}q_norm", f"{module}q_layernorm", d)
    decoder.tensor(f"{block}k_norm", f"{module}k_layernorm", d)


def _short_conv(decoder: DecoderConfig, layer: int, n_taps: int) -> None:
    block, module = f"blk.{layer}.shortconv.", f"model.layers.{layer}.conv."
    width = decoder.width
    decoder.tensor(f"{block}in_proj", f"{module}in_proj", 3 * width, width)
    decoder.tensor(f"{block}out_proj", f"{module}out_proj", width, width)
    taps = Source(f"{module}conv.weight", (width, 1, n_taps))
    decoder.rules.append(TensorRule(f"{block}conv.weight", (taps,), (width, n_taps)))


def _feed_forward(decoder: DecoderConfig, layer: int) -> None:
    block, module = f"blk.{layer}.ffn_", f"model.layers.{layer}."
    width, ffn = decoder.width, decoder.ffn_width
    decoder.tensor(f"{block}norm", f"{module}ffn_norm", width)
    decoder.tensor(f"{block}gate", f"{module}feed_forward.w1", ffn, width)
    decoder.tensor(f"{block}up", f"{module}feed_forward.w3", ffn, width)
    decoder.tensor(f"{block}down", f"{module}feed_forward.w2", width, ffn)


def _ffn_width(config: Config) -> int:
    """Two thirds of what the config says, times a factor, rounded up, unless it says otherwise."""
    width = config.integer("block_ff_dim", config.integer("intermediate_size", 12288))
    multiple = config.integer("block_multiple_of", 256)
    has_factor = not config.is_null("block_ffn_dim_multiplier")
    factor = config.number("block_ffn_dim_multiplier", 1.0)
    if not config.flag("block_auto_adjust_ff_dim", True):
        return width
    width = int(2 * width / 3)
    if factor * width > _WIDEST:
        raise config.contradiction(
            f"block_ffn_dim_multiplier is {factor:g}, which makes feed-forward blocks wider than "
            f"{_WIDEST}"
        )
    return -(-int(factor * width) // multiple) * multiple if has_factor else width


def _tied(config: Config) -> bool:
    return config.flag("tie_embedding", config.flag("tie_word_embeddings", True))


def _with_attention(config: Config, n_layers: int) -> list[bool]:
    """Which layers have attention: all of them where the config doesn't say."""
    indices = config.indices("full_attn_idxs", n_layers)
    kinds = config.texts("layer_types", n_layers)
    if kinds is None:
        return [indices is None or i in indices for i in range(n_layers)]
    unknown = set(kinds) - {_ATTENTION, _CONVOLUTION}
    if unknown:
        raise config.contradiction(f"layer_types has {sorted(unknown)[0][:40]!r}")
    found = [kind == _ATTENTION for kind in kinds]
    if indices is not None and {i for i, each in enumerate(found) if each} != set(indices):
        raise config.contradiction("layer_types and full_attn_idxs differ")
    return found


def _check_others(config: Config, decoder: DecoderConfig) -> None:
    """Members that say the same once more, or have one meaning only."""
    config.must_be("conv_bias", False)
    config.must_be("block_use_swiglu", True)
    config.must_be("use_pos_enc", True)
    config.must_be("block_norm_eps", config.number("norm_eps", 1e-5))
    for name in ("block_dim", "conv_dim", "conv_dim_out"):
        config.must_be(name, decoder.width)
    config.must_be("num_heads", decoder.n_query_heads)
    config.ignore(*_BEGINNINGS)
