"""Gemma 2 (arXiv:2408.00118): soft caps, norms around each block, every other layer with a window.

Converters to GGUF write norms with the 1 that Gemma adds to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aboard import formats
from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import Conversion, Plus, Transform
from aboard.models.decoder import DecoderModel, Layer
from aboard.models.decoder_config import DecoderConfig
from aboard.models.decoder_file import DecoderFile
from aboard.models.layer_kinds import store_windows
from aboard.models.rope_config import RopeConfig

_LAYERS_OF_27B = 46
_ROUNDED = {"bfloat16": "BF16", "float16": "F16"}
_PLUS_ONE = Plus(1.0)


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> DecoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    file = DecoderFile("gemma2", metadata, tensor_names)
    given = file.given
    rope = file.rope("halves")
    near = replace(rope, base=given.number("rope.freq_base_swa", rope.base))
    return file.model(
        (
            Layer(
                attention=file.attention(
                    i, rope=near if window else rope, window=window, post_norm=True
                ),
                feed_forward=file.feed_forward(i, post_norm=True, function="gelu"),
            )
            for i, window in enumerate(file.windows(period=2, default=4096))
        ),
        score_scale=score_scale(file, layers_of_27b=_LAYERS_OF_27B),
        score_cap=given.number("attn_logit_softcapping", 50.0, zero=True),
        logit_cap=given.number("final_logit_softcapping", 30.0, zero=True),
        embedding_scale=embedding_scale(file),
    )


def embedding_scale(file: DecoderFile) -> float:
    """sqrt(width), as llama.cpp takes it, unless `embedding_scale` says otherwise."""
    return file.given.number("embedding_scale", math.sqrt(file.width))


def store_embedding_scale(decoder: DecoderConfig) -> None:
    """Store sqrt(width) rounded as the checkpoint's weights are, where that is another number.

    So Gemmas were trained: transformers rounds it to the type of the weights, Google's gemma.cpp to
    bfloat16. llama.cpp doesn't, nor does it read this entry (docs/experiments.md).
    """
    config = decoder.config
    dtype = config.text("dtype", config.text("torch_dtype", "float32"))
    scale = np.sqrt(np.array([[decoder.width]], np.float32))
    if dtype in _ROUNDED:
        form = formats.encoder(_ROUNDED[dtype])
        rounded = form.decode(form.encode(scale).reshape(1, 1, form.BLOCK_BYTES))
        if rounded != scale:
            decoder.set("embedding_scale", float(rounded.item()))


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`.

    Raises
    ------
    UnsupportedFile
        Scores are scaled or capped as GGUF's `gemma2` has no word for.
    """
    config.assume(vocab_size=256_000, max_position_embeddings=8192)
    decoder = gemma_config("gemma2", config)
    config.must_be("use_bidirectional_attention", False)
    of = scores_of(decoder, layers_of_27b=_LAYERS_OF_27B)
    found = config.number("query_pre_attn_scalar", 256)
    if found != of:
        raise UnsupportedFile(
            f"{config.where}: query_pre_attn_scalar is {found:g}; GGUF's gemma2 scales scores by "
            f"the square root of {of}"
        )
    for name, default in (("attn_logit_softcapping", 50.0), ("final_logit_softcapping", 30.0)):
        if config.is_null(name):
            raise UnsupportedFile(f"{config.where}: {name} is null; GGUF's gemma2 always has a cap")
        decoder.set(name, config.number(name, default))
    decoder.rope(RopeConfig(config, 10_000.0), decoder.head_dim, ("default", "linear"))
    store_windows(decoder, period=2, window=4096)
    store_embedding_scale(decoder)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        gemma_layer(decoder, layer)
    decoder.head()
    return decoder.conversion()


def gemma_config(
    architecture: str, config: Config, *, norms: Transform | None = _PLUS_ONE
) -> DecoderConfig:
    """What all Gemmas have in common but for their layers; others are refused.

    What a config doesn't say is what transformers takes for it. `norms`: what is done to every one.
    """
    config.assume(
        hidden_size=2304,
        intermediate_size=9216,
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
    )
    config.must_be("hidden_activation", "gelu_pytorch_tanh")
    config.must_be("hidden_act", "gelu_pytorch_tanh")
    config.must_be("attention_bias", False)
    return DecoderConfig(architecture, config, norms=norms)


def gemma_layer(decoder: DecoderConfig, layer: int) -> None:
    """Add a layer, with norms before and after its blocks."""
    decoder.attention(layer, adjacent_pairs=False)
    decoder.norm(layer, "post_attention_norm", "post_attention_layernorm")
    decoder.feed_forward(layer, norm="pre_feedforward_layernorm")
    decoder.norm(layer, "post_ffw_norm", "post_feedforward_layernorm")


def scores_of(shape: DecoderConfig | DecoderFile, *, layers_of_27b: int) -> int:
    """What scores are divided by the square root of: the head size.

    The largest Gemma takes width / heads instead, and no entry of a GGUF file says so.
    """
    is_largest = shape.n_layers == layers_of_27b
    return shape.width // shape.n_query_heads if is_largest else shape.head_dim


def score_scale(file: DecoderFile, *, layers_of_27b: int) -> float:
    """What scores are multiplied by."""
    of = scores_of(file, layers_of_27b=layers_of_27b)
    return file.given.number("attention.scale", 1.0 / math.sqrt(of))
