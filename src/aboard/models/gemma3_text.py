"""Gemma 3 (arXiv:2503.19786), text, as transformers describes it; in GGUF a `gemma3`."""

from __future__ import annotations

import math

from aboard.models.config import Config
from aboard.models.conversion import Conversion, Plus
from aboard.models.decoder_config import DecoderConfig
from aboard.models.gemma2 import gemma_config, gemma_layer, scores_of, store_embedding_scale
from aboard.models.layer_kinds import ropes_of_kinds, store_windows

LAYERS_OF_27B = 62


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(vocab_size=262_208, max_position_embeddings=131_072)
    decoder = gemma_config("gemma3", config)
    config.must_be("use_bidirectional_attention", False)
    _store_ropes(decoder)
    store_windows(decoder, period=6, window=4096)
    store_embedding_scale(decoder)
    if config.has("final_logit_softcapping"):
        decoder.set("final_logit_softcapping", config.number("final_logit_softcapping"))
    # GGUF's gemma3 has no word for the scale of scores; the norm of the queries can hold it.
    of = scores_of(decoder, layers_of_27b=LAYERS_OF_27B)
    scale = math.sqrt(of / config.number("query_pre_attn_scalar", 256.0))
    decoder.embedding()
    for layer in range(decoder.n_layers):
        gemma_layer(decoder, layer)
        for name, times in (("q", scale), ("k", 1.0)):
            decoder.tensor(
                f"blk.{layer}.attn_{name}_norm",
                f"model.layers.{layer}.self_attn.{name}_norm",
                decoder.head_dim,
                transform=Plus(1.0, times),
            )
    decoder.head()
    return decoder.conversion()


def _store_ropes(decoder: DecoderConfig) -> None:
    far, near = ropes_of_kinds(decoder.config, 1_000_000.0, 10_000.0)
    decoder.rope(far, decoder.head_dim, ("default", "linear"))
    near.require("default")
    near.scaling.finish()
    decoder.set("rope.freq_base_swa", near.base)
