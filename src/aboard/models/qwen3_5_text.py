"""Qwen3.5's text models as checkpoints; in GGUF a `qwen35`.

GGUF has the heads of values that belong to one head of keys not side by side, but one in each
round: head i belongs to head i mod G of the keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import (
    Conversion,
    Float32,
    Plus,
    Source,
    TensorRule,
    Transform,
)
from aboard.models.decoder_config import DecoderConfig
from aboard.models.hyperparameters import of_period
from aboard.models.rope_config import RopeConfig

_ATTENTION, _DELTA_NET = "full_attention", "linear_attention"
_PLUS_ONE = Plus(1.0)
# Of the layers that guess several tokens ahead, which change no answer.
_AHEAD = ("mtp_num_hidden_layers", "mtp_use_dedicated_embeddings")


@dataclass(frozen=True, slots=True)
class HeadsInRounds:
    """Rows of heads reordered, all but the first `kept`: the first of each group, then the second.

    `n_rows` rows in all, heads of `head_dim`, `n_groups` groups of them. `negated_exp`: each number
    becomes -e^number.
    """

    n_rows: int
    head_dim: int
    n_groups: int
    kept: int = 0
    negated_exp: bool = False

    @property
    def rows_at_once(self) -> int:
        """All."""
        return self.n_rows

    def __call__(self, rows: Float32) -> Float32:
        """`rows` in GGUF's order."""
        heads = rows[self.kept :].reshape(self.n_groups, -1, self.head_dim, rows.shape[1])
        moved = heads.swapaxes(0, 1).reshape(-1, rows.shape[1])
        found = np.concatenate([rows[: self.kept], moved])
        return -np.exp(found) if self.negated_exp else found


@dataclass(frozen=True, slots=True)
class ColumnsInRounds:
    """The same of columns."""

    head_dim: int
    n_groups: int
    rows_at_once: int = 1

    def __call__(self, rows: Float32) -> Float32:
        """`rows` with their columns in GGUF's order."""
        heads = rows.reshape(len(rows), self.n_groups, -1, self.head_dim)
        return heads.swapaxes(1, 2).reshape(rows.shape)


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    decoder = DecoderConfig("qwen35", config)
    config.must_be("hidden_act", "silu")
    config.must_be("attention_bias", False)
    config.must_be("attn_output_gate", True)
    config.ignore("mamba_ssm_dtype", *_AHEAD)
    _rope(config, decoder)
    period = _period(config, decoder.n_layers)
    decoder.set("full_attention_interval", period)
    delta = _Delta(config, decoder)
    decoder.embedding()
    for layer in range(decoder.n_layers):
        block, module = f"blk.{layer}.", f"model.layers.{layer}."
        _norm(decoder, f"{block}attn_norm", f"{module}input_layernorm")
        if layer % period == period - 1:
            _attention(decoder, block, f"{module}self_attn.")
        else:
            delta.add(block, f"{module}linear_attn.")
        _norm(decoder, f"{block}post_attention_norm", f"{module}post_attention_layernorm")
        ffn, width = decoder.ffn_width, decoder.width
        decoder.tensor(f"{block}ffn_gate", f"{module}mlp.gate_proj", ffn, width)
        decoder.tensor(f"{block}ffn_up", f"{module}mlp.up_proj", ffn, width)
        decoder.tensor(f"{block}ffn_down", f"{module}mlp.down_proj", width, ffn)
    _norm(decoder, "output_norm", "model.norm")
    if not decoder.tied:
        decoder.tensor("output", "lm_head", decoder.n_vocabulary, decoder.width)
    return replace(decoder.conversion(), unused_parts=("mtp.",))


class _Delta:
    """The shapes of delta nets, and their tensors."""

    def __init__(self, config: Config, decoder: DecoderConfig) -> None:
        self.decoder = decoder
        self.n_keys = config.integer("linear_num_key_heads")
        self.n_values = config.integer("linear_num_value_heads")
        self.d = config.integer("linear_value_head_dim")
        self.n_taps = config.integer("linear_conv_kernel_dim", low=2)
        if config.integer("linear_key_head_dim") != self.d:
            raise UnsupportedFile(
                f"{config.where}: linear_key_head_dim is not linear_value_head_dim",
                hint="GGUF has one number for both.",
            )
        if self.n_values % self.n_keys:
            raise config.contradiction(
                f"{self.n_values} linear value heads can't share {self.n_keys} key heads"
            )
        for key, value in {
            "conv_kernel": self.n_taps,
            "state_size": self.d,
            "group_count": self.n_keys,
            "time_step_rank": self.n_values,
            "inner_size": self.n_values * self.d,
        }.items():
            decoder.set(f"ssm.{key}", value)

    def add(self, block: str, module: str) -> None:
        """Add the tensors of a layer."""
        width, keys, inner = self.decoder.width, self.n_keys * self.d, self.n_values * self.d
        mixed = 2 * keys + inner
        in_rounds = HeadsInRounds(mixed, self.d, self.n_keys, kept=2 * keys)
        by_head = HeadsInRounds(self.n_values, 1, self.n_keys)
        gate = HeadsInRounds(inner, self.d, self.n_keys)
        decays = HeadsInRounds(self.n_values, 1, self.n_keys, negated_exp=True)
        columns = ColumnsInRounds(self.d, self.n_keys)
        add = self.decoder.tensor
        add(f"{block}attn_qkv", f"{module}in_proj_qkv", mixed, width, transform=in_rounds)
        add(f"{block}attn_gate", f"{module}in_proj_z", inner, width, transform=gate)
        add(f"{block}ssm_alpha", f"{module}in_proj_a", self.n_values, width, transform=by_head)
        add(f"{block}ssm_beta", f"{module}in_proj_b", self.n_values, width, transform=by_head)
        taps = Source(f"{module}conv1d.weight", (mixed, 1, self.n_taps))
        self._rule(f"{block}ssm_conv1d.weight", taps, (mixed, self.n_taps), in_rounds)
        heads = (self.n_values,)
        self._rule(f"{block}ssm_a", Source(f"{module}A_log", heads), heads, decays)
        self._rule(f"{block}ssm_dt.bias", Source(f"{module}dt_bias", heads), heads, by_head)
        add(f"{block}ssm_norm", f"{module}norm", self.d)
        add(f"{block}ssm_out", f"{module}out_proj", width, inner, transform=columns)

    def _rule(
        self, name: str, source: Source, shape: tuple[int, ...], transform: Transform
    ) -> None:
        self.decoder.rules.append(TensorRule(name, (source,), shape, transform))


def _norm(decoder: DecoderConfig, name: str, source: str, size: int | None = None) -> None:
    decoder.tensor(name, source, size or decoder.width, transform=_PLUS_ONE)


def _attention(decoder: DecoderConfig, block: str, module: str) -> None:
    width, d = decoder.width, decoder.head_dim
    rows, kv_rows = decoder.n_query_heads * d, decoder.n_kv_heads * d
    decoder.tensor(f"{block}attn_q", f"{module}q_proj", 2 * rows, width)
    decoder.tensor(f"{block}attn_k", f"{module}k_proj", kv_rows, width)
    decoder.tensor(f"{block}attn_v", f"{module}v_proj", kv_rows, width)
    decoder.tensor(f"{block}attn_output", f"{module}o_proj", width, rows)
    _norm(decoder, f"{block}attn_q_norm", f"{module}q_norm", d)
    _norm(decoder, f"{block}attn_k_norm", f"{module}k_norm", d)


def _rope(config: Config, decoder: DecoderConfig) -> None:
    rope = RopeConfig(config, 10_000_000.0)
    factor = rope.scaling.number(
        "partial_rotary_factor", config.number("partial_rotary_factor", 0.25)
    )
    rope.scaling.ignore("mrope_section", "mrope_interleaved")  # of images
    rotated = int(decoder.head_dim * factor)
    decoder.rope(rope, rotated)
    # llama.cpp wants them; for a text any that fill the pairs.
    decoder.set("rope.dimension_sections", [rotated // 2, 0, 0, 0])


def _kinds(period: int, n_layers: int) -> tuple[str, ...]:
    return tuple(_DELTA_NET if each else _ATTENTION for each in of_period(period, n_layers))


def _period(config: Config, n_layers: int) -> int:
    """Of so many layers the last has attention."""
    stated = config.says("full_attention_interval")
    period = config.integer("full_attention_interval", 4)
    kinds = config.texts("layer_types", n_layers)
    if kinds is None:
        return period
    if stated and kinds != _kinds(period, n_layers):
        raise config.contradiction(f"layer_types and full_attention_interval, {period}, differ")
    period = (kinds.index(_ATTENTION) if _ATTENTION in kinds else n_layers) + 1
    if kinds != _kinds(period, n_layers):
        raise UnsupportedFile(
            f"{config.where}: layer_types has no period",
            hint="GGUF says only how far apart layers with attention are.",
        )
    return period
