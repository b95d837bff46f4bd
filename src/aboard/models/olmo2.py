"""OLMo 2 (arXiv:2501.00656) and OLMo 3: norms stand after the blocks, not before them.

Queries and keys are normed, all heads together. OLMo 3 has windows in three of four layers, whose
rope is never stretched.
"""

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
    file = DecoderFile("olmo2", metadata, tensor_names)
    rope = file.rope("halves")
    near = file.near_rope(rope, rope.base)
    return file.model(
        Layer(
            attention=file.attention(
                i,
                rope=near if window else rope,
                window=window,
                norm=False,
                post_norm=True,
                head_norms="all",
            ),
            feed_forward=file.feed_forward(i, norm=False, post_norm=True),
        )
        for i, window in enumerate(file.windows(period=4))
    )


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    decoder = olmo_config(config)
    decoder.rope(RopeConfig(config, 10_000.0), decoder.head_dim, ("default", "linear", "yarn"))
    return olmo_conversion(decoder)


def olmo_config(config: Config) -> DecoderConfig:
    """What OLMo 2 and 3 have in common; others are refused."""
    config.assume(
        vocab_size=50_304,
        hidden_size=4096,
        intermediate_size=11_008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
    )
    config.must_be("hidden_act", "silu", "swish")
    config.must_be("attention_bias", False)
    return DecoderConfig("olmo2", config)


def olmo_conversion(decoder: DecoderConfig) -> Conversion:
    """The layers, whose norms stand after the blocks, and all that was collected before."""
    decoder.embedding()
    for layer in range(decoder.n_layers):
        decoder.attention(layer, adjacent_pairs=False, norm=False)
        heads = {"q": decoder.n_query_heads, "k": decoder.n_kv_heads}
        for name, n_heads in heads.items():
            source = f"model.layers.{layer}.self_attn.{name}_norm"
            decoder.tensor(f"blk.{layer}.attn_{name}_norm", source, n_heads * decoder.head_dim)
        decoder.norm(layer, "post_attention_norm", "post_attention_layernorm")
        decoder.feed_forward(layer, norm=None)
        decoder.norm(layer, "post_ffw_norm", "post_feedforward_layernorm")
    decoder.head()
    if decoder.tied:  # llama.cpp knows this architecture with a head only
        shape = (decoder.n_vocabulary, decoder.width)
        decoder.tensor("output", "model.embed_tokens", *shape)
    return decoder.conversion()
