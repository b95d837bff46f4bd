"""Phi-3 (arXiv:2404.14219) and Phi-4-mini: fused matrices, LongRoPE, a part of a head rotated."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.rope_config import RopeConfig


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("phi3", metadata, tensor_names)
    rope = file.rope("halves")
    # llama.cpp reads the window and sees everything; transformers keeps to it, and so do we.
    window = file.given.integer("attention.sliding_window", 0, low=0)
    return file.model(
        Layer(
            attention=file.attention(i, rope=rope, window=window),
            feed_forward=file.feed_forward(i, fused=True),
        )
        for i in range(file.n_layers)
    )


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(rms_norm_eps=1e-5, max_position_embeddings=4096)
    config.assume(original_max_position_embeddings=4096)
    decoder = DecoderConfig("phi3", config)
    config.must_be("hidden_act", "silu", "swish")
    for bias in ("attention_bias", "mlp_bias", "lm_head_bias"):
        config.must_be(bias, False)
    for of_other_models in ("full_attn_mod", "interpolate_factor"):
        config.must_be(of_other_models, 1)
    rope = RopeConfig(config, 10_000.0)
    original = rope.original_context(decoder.context)
    decoder.set("rope.scaling.original_context_length", original)
    rotated = rope.rotated_dims(decoder.head_dim, partial=True)
    decoder.rope(rope, rotated, ("default", "longrope"))
    window = config.integer("sliding_window") if config.has("sliding_window") else 0
    decoder.set("attention.sliding_window", window)  # 0: none; llama.cpp tells Phi-4 by it
    decoder.embedding()
    for layer in range(decoder.n_layers):
        _add_layer(decoder, layer)
    decoder.head()
    return decoder.conversion()


def _add_layer(decoder: DecoderConfig, layer: int) -> None:
    """Add a layer, whose fused matrices GGUF has as they are."""
    block, module, width = f"blk.{layer}.", f"model.layers.{layer}.", decoder.width
    rows, kv_rows = (n * decoder.head_dim for n in (decoder.n_query_heads, decoder.n_kv_heads))
    decoder.tensor(f"{block}attn_norm", f"{module}input_layernorm", width)
    attention = f"{module}self_attn."
    decoder.tensor(f"{block}attn_qkv", f"{attention}qkv_proj", rows + 2 * kv_rows, width)
    decoder.tensor(f"{block}attn_output", f"{attention}o_proj", width, rows)
    decoder.tensor(f"{block}ffn_norm", f"{module}post_attention_layernorm", width)
    decoder.tensor(f"{block}ffn_up", f"{module}mlp.gate_up_proj", 2 * decoder.ffn_width, width)
    decoder.tensor(f"{block}ffn_down", f"{module}mlp.down_proj", width, decoder.ffn_width)
