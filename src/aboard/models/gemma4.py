"""Gemma 4, text, dense: far layers with heads of their own, and keys that layers share.

The last layers have no keys and values: they read those of the last layer of their kind that has
them. Each layer of a small model knows the token by an embedding of its own; in a large one far
layers take keys, before their norm, for values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from aboard.errors import ConfigError
from aboard.models import gemma4_text
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.decoder import DecoderModel, Layer, LayerEmbedding, TokenBlock, Weight
from aboard.models.decoder_file import DecoderFile
from aboard.models.gemma2 import embedding_scale
from aboard.models.gemma4_text import layers_with_keys
from aboard.models.text_part import as_part, text_config

# What a checkpoint that sees and hears has beside its text model.
OF_OTHERS = (
    *(
        "audio_config",
        "boi_token_id",
        "eoi_token_id",
        "image_token_id",
        "video_token_id",
        "boa_token_id",
    ),
    *("eoa_token_id", "eoa_token_index", "audio_token_id"),
    "vision_soft_tokens_per_image",
)


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("gemma4", metadata, tensor_names, by_layer=True)
    given = file.given
    if not file.has("rope_freqs.weight"):
        raise ConfigError("gemma4: rope_freqs.weight is missing: which pairs of a far head turn?")
    rope = file.rope("halves")
    near_dim = given.integer("attention.key_length_swa")
    given.must_be("attention.value_length_swa", near_dim)
    turning = given.integer("rope.dimension_count_swa", near_dim)
    near_rope = file.near_rope(rope, 10_000.0, turning)
    given.ignore("expert_feed_forward_length")  # of experts, of which there are none
    near = given.pattern("attention.sliding_window_pattern", file.n_layers, 6)
    window = given.integer("attention.sliding_window")
    keys_of = layers_with_keys(near, given.integer("attention.shared_kv_layers", 0, low=0))
    known = given.integer("embedding_length_per_layer_input", 0, low=0)
    layers = []
    for i, is_near in enumerate(near):
        attention = file.attention(
            i,
            rope=near_rope if is_near else rope,
            window=window if is_near else 0,
            post_norm=True,
            head_norms="each",
            head_dim=near_dim if is_near else None,
            keys_of=None if keys_of[i] == i else keys_of[i],
            norm_values=True,
            keys_are_values=True,
        )
        scale = f"blk.{i}.layer_output_scale.weight"
        layers.append(
            Layer(
                attention=attention,
                feed_forward=file.feed_forward(i, post_norm=True, function="gelu"),
                token=_token(i, file.width, known) if known else None,
                scale=Weight(scale, (1,)) if file.has(scale) else None,
            )
        )
    shared = [i for i, layer in enumerate(keys_of) if layer != i]
    return file.model(
        layers,
        score_scale=1.0,
        # As llama.cpp takes it where a file says nothing.
        logit_cap=given.number("final_logit_softcapping", 30.0, zero=True),
        embedding_scale=embedding_scale(file),
        layer_embedding=_layer_embedding(file, known) if known else None,
        unused=frozenset(
            f"blk.{i}.attn_{name}.weight" for i in shared for name in ("k", "v", "k_norm")
        ),
    )


def convert(config: Config) -> Conversion:
    """The GGUF file of the text model in such a checkpoint; see `aboard.models.convert_config`.

    Raises
    ------
    ConfigError
        There is no `text_config`, or it contradicts what is around it.
    """
    text = text_config(config, "gemma4_text", of_others=OF_OTHERS)
    return as_part(gemma4_text.convert(text))


def _token(layer: int, width: int, known: int) -> TokenBlock:
    block = f"blk.{layer}."
    return TokenBlock(
        gate=Weight(f"{block}inp_gate.weight", (known, width)),
        output=Weight(f"{block}proj.weight", (width, known)),
        post_norm=Weight(f"{block}post_norm.weight", (width,)),
    )


def _layer_embedding(file: DecoderFile, known: int) -> LayerEmbedding:
    rows = file.n_layers * known
    return LayerEmbedding(
        table=Weight("per_layer_token_embd.weight", (file.n_vocabulary, rows)),
        projection=Weight("per_layer_model_proj.weight", (rows, file.width)),
        norm=Weight("per_layer_proj_norm.weight", (known,)),
        table_scale=math.sqrt(known),
        projection_scale=1.0 / math.sqrt(file.width),
        sum_scale=math.sqrt(0.5),
    )
