"""Gemma 4, text, as transformers describes it; in GGUF a `gemma4`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aboard.checkpoint.huggingface_tokenizer import as_gemma4
from aboard.errors import ConfigError, UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import Conversion, Source, TensorRule
from aboard.models.decoder_config import DecoderConfig
from aboard.models.gemma2 import gemma_config, store_embedding_scale
from aboard.models.hyperparameters import of_period
from aboard.models.layer_kinds import near_by_kinds, ropes_of_kinds
from aboard.models.rope_config import RopeConfig

_PERIOD = 6
# A divisor after which a pair doesn't turn: what llama.cpp's converter writes.
_NEVER = 1e30
_FAR_ROPE = {
    "rope_type": "proportional",
    "partial_rotary_factor": 0.25,
    "rope_theta": 1_000_000.0,
}


def layers_with_keys(near: Sequence[bool], n_shared: int) -> list[int]:
    """The layer whose keys and values each layer reads: its own, or the last one of its kind.

    Parameters
    ----------
    near : sequence of bool
        Which layers have a window.
    n_shared : int
        The last so many layers have no keys of their own.

    Raises
    ------
    ConfigError
        There is none of its kind, or not where llama.cpp looks: the last layer with keys must be a
        far one, and the one before it a near one.
    """
    n_own = len(near) - n_shared
    found = list(range(len(near)))
    for i in range(max(n_own, 0), len(near)):
        source = n_own - 2 if near[i] else n_own - 1
        if source < 0 or near[source] != near[i]:
            raise ConfigError(
                f"gemma4: layer {i} shares keys and values, and layer {source} of them is of "
                "another kind",
                hint="GGUF has no word for which layer has them.",
            )
        found[i] = source
    return found


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`.

    Raises
    ------
    UnsupportedFile
        It has experts, or is one that GGUF's `gemma4` has no word for.
    """
    config.assume(
        max_position_embeddings=131_072,
        sliding_window=512,
        vocab_size_per_layer_input=262_144,
        hidden_size_per_layer_input=256,
    )
    return converted(config)


def converted(config: Config) -> Conversion:
    """The same, of a config whose defaults are set where two kinds of it differ."""
    config.assume(vocab_size=262_144, num_hidden_layers=30)
    _refuse_others(config)
    decoder = gemma_config("gemma4", config, norms=None)
    near = _near_layers(config, decoder.n_layers)
    far = _far_heads(config, decoder, near)
    n_shared = config.integer("num_kv_shared_layers", 0, low=0)
    keys_of = layers_with_keys(near, n_shared)
    wide = config.flag("use_double_wide_mlp", False)
    widths = [
        2 * decoder.ffn_width if wide and i != source else decoder.ffn_width
        for i, source in enumerate(keys_of)
    ]
    known = _known(config, decoder)
    _store(decoder, near, far, n_shared, widths)
    decoder.set("embedding_length_per_layer_input", known)
    _store_ropes(decoder, far.head_dim)
    # Where a file says nothing, llama.cpp has a cap of 30.
    cap = config.number("final_logit_softcapping") if config.has("final_logit_softcapping") else 0.0
    decoder.set("final_logit_softcapping", cap)
    store_embedding_scale(decoder)
    keys_are_values = config.flag("attention_k_eq_v", False)
    decoder.embedding()
    if known:
        _layer_embedding(decoder, known)
    for layer, source in enumerate(keys_of):
        is_far = not near[layer]
        own = "qk" if keys_are_values and is_far else "qkv"
        decoder.attention(
            layer,
            adjacent_pairs=False,
            head_norms=True,
            projections=own if source == layer else "q",
            head_dim=far.head_dim if is_far else None,
            n_kv_heads=far.n_kv_heads if is_far else None,
        )
        if source != layer:
            attention = f"model.layers.{layer}.self_attn."
            names = ("k_proj", "v_proj", "k_norm", "v_norm")
            decoder.unused |= {f"{attention}{name}.weight" for name in names}
        _rest(decoder, layer, widths[layer], known)
    decoder.head()
    return replace(decoder.conversion(), tokenizer=as_gemma4)


@dataclass(frozen=True, slots=True)
class _FarHeads:
    """What heads of far layers are, where near ones are as the config's first members say."""

    head_dim: int
    n_kv_heads: int


def _refuse_others(config: Config) -> None:
    if config.flag("enable_moe_block", False):
        raise UnsupportedFile(
            f"{config.where}: the model is a mixture of experts (enable_moe_block)",
            hint="Aboard runs dense models: take E2B, E4B, 12B or 31B.",
        )
    config.ignore(
        "num_experts", "top_k_experts", "moe_intermediate_size", "expert_intermediate_size"
    )
    if config.text("use_bidirectional_attention", "vision") == "all":
        raise UnsupportedFile(
            f"{config.where}: every token sees those behind it (use_bidirectional_attention)",
            hint="Such a model writes no text.",
        )
    config.must_be("use_bidirectional_attention", "vision")  # of images alone


def _near_layers(config: Config, n_layers: int) -> tuple[bool, ...]:
    """Which layers have a window; the last one never has."""
    near = near_by_kinds(config, n_layers)
    if near is None:
        return (*of_period(_PERIOD, n_layers)[:-1], False)
    if near[-1]:
        raise config.contradiction("the last layer has a window, and transformers takes it for far")
    return near


def _far_heads(config: Config, decoder: DecoderConfig, near: Sequence[bool]) -> _FarHeads:
    """Heads of far layers, which older configs tell by `global_*`, newer ones layer by layer."""
    keys_are_values = config.flag("attention_k_eq_v", False)
    d = config.integer("global_head_dim", 512)
    n_kv_heads = config.integer("num_global_key_value_heads", decoder.n_kv_heads)
    found = _FarHeads(d, n_kv_heads if keys_are_values else decoder.n_kv_heads)
    layers = config.nested("per_layer_config")
    if layers is not None:
        told = {_of_layer(layers, i, decoder) for i, is_near in enumerate(near) if not is_near}
        for i, is_near in enumerate(near):
            if is_near and _of_layer(layers, i, decoder) != _of_first(decoder):
                raise layers.contradiction(f"layer {i} has a window, and heads of its own")
        layers.finish()
        if len(told) > 1:
            raise UnsupportedFile(
                f"{layers.where}: far layers differ in their heads, and GGUF has one size for all"
            )
        if config.has("global_head_dim") and told != {found}:
            raise config.contradiction("global_head_dim and per_layer_config differ")
        found = told.pop()
    if found.head_dim % 2 or found.head_dim > 4096:
        raise config.contradiction(f"heads of far layers are {found.head_dim} wide")
    return found


def _of_first(decoder: DecoderConfig) -> _FarHeads:
    return _FarHeads(decoder.head_dim, decoder.n_kv_heads)


def _of_layer(layers: Config, layer: int, decoder: DecoderConfig) -> _FarHeads:
    own = layers.nested(str(layer))
    if own is None:
        return _of_first(decoder)
    found = _FarHeads(
        own.integer("head_dim", decoder.head_dim),
        own.integer("num_key_value_heads", decoder.n_kv_heads),
    )
    own.finish()
    return found


def _known(config: Config, decoder: DecoderConfig) -> int:
    """Values of what each layer knows of a token; 0: layers know nothing of it."""
    known = config.integer("hidden_size_per_layer_input", 0, low=0)
    size = config.integer("vocab_size_per_layer_input", decoder.n_vocabulary)
    if known and size != decoder.n_vocabulary:
        raise UnsupportedFile(
            f"{config.where}: vocab_size_per_layer_input is {size}; GGUF's gemma4 has a row for "
            f"each of {decoder.n_vocabulary} tokens"
        )
    return known


def _store(
    decoder: DecoderConfig,
    near: Sequence[bool],
    far: _FarHeads,
    n_shared: int,
    widths: Sequence[int],
) -> None:
    decoder.set("attention.sliding_window", decoder.config.integer("sliding_window"))
    decoder.set("attention.sliding_window_pattern", list(near))
    decoder.set("attention.shared_kv_layers", n_shared)
    decoder.set("attention.key_length_swa", decoder.head_dim)
    decoder.set("attention.value_length_swa", decoder.head_dim)
    decoder.set("attention.key_length", far.head_dim)
    decoder.set("attention.value_length", far.head_dim)
    if far.n_kv_heads != decoder.n_kv_heads:
        heads = [decoder.n_kv_heads if each else far.n_kv_heads for each in near]
        decoder.set("attention.head_count_kv", heads)
    if len(set(widths)) > 1:
        decoder.set("feed_forward_length", list(widths))


def _store_ropes(decoder: DecoderConfig, far_dim: int) -> None:
    """Both ropes; in a proportional one only the first pairs turn, as fast as if all did."""
    config = decoder.config
    if config.has("rope_parameters"):
        far, near = ropes_of_kinds(config, 1_000_000.0, 10_000.0)
    else:
        far = RopeConfig(config, 1_000_000.0, own=Config(_FAR_ROPE, config.where))
        near = RopeConfig(config, 10_000.0, own=Config({}, config.where))
    far.require("default", "proportional")
    turning, factor = far_dim // 2, 1.0
    if far.kind == "proportional":
        part = far.scaling.number("partial_rotary_factor", 1.0)
        factor = far.scaling.number("factor", 1.0)
        if part > 1:
            raise far.scaling.contradiction(f"partial_rotary_factor is {part:g}")
        turning = int(part * far_dim // 2)
    else:
        far.scaling.must_be("partial_rotary_factor", 1.0)
    far.scaling.finish()
    divisors = np.full(far_dim // 2, _NEVER, np.float32)
    divisors[:turning] = factor
    decoder.made["rope_freqs.weight"] = divisors
    near.require("default")
    near.scaling.must_be("partial_rotary_factor", 1.0)
    near.scaling.finish()
    decoder.set("rope.freq_base", far.base)
    decoder.set("rope.freq_base_swa", near.base)
    decoder.set("rope.dimension_count", far_dim)
    decoder.set("rope.dimension_count_swa", decoder.head_dim)


def _layer_embedding(decoder: DecoderConfig, known: int) -> None:
    rows = decoder.n_layers * known
    table, projection = "embed_tokens_per_layer", "per_layer_model_projection"
    add = decoder.tensor
    add("per_layer_token_embd", f"model.{table}", decoder.n_vocabulary, rows)
    add("per_layer_model_proj", f"model.{projection}", rows, decoder.width)
    add("per_layer_proj_norm", "model.per_layer_projection_norm", known)


def _rest(decoder: DecoderConfig, layer: int, ffn_width: int, known: int) -> None:
    """What comes behind a layer's attention."""
    decoder.norm(layer, "post_attention_norm", "post_attention_layernorm")
    decoder.feed_forward(layer, norm="pre_feedforward_layernorm", width=ffn_width)
    decoder.norm(layer, "post_ffw_norm", "post_feedforward_layernorm")
    block, module = f"blk.{layer}.", f"model.layers.{layer}."
    if known:
        decoder.tensor(f"{block}inp_gate", f"{module}per_layer_input_gate", known, decoder.width)
        decoder.tensor(f"{block}proj", f"{module}per_layer_projection", decoder.width, known)
        decoder.norm(layer, "post_norm", "post_per_layer_input_norm")
    scale = Source(f"{module}layer_scalar", (1,))
    decoder.rules.append(TensorRule(f"{block}layer_output_scale.weight", (scale,), (1,)))
