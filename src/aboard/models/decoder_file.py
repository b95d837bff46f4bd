"""What GGUF files of decoder models have in common: keys, names of tensors, kinds of rope.

An architecture's file puts its layers together from these pieces and says what is its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from aboard.errors import ConfigError
from aboard.models.decoder import (
    Attention,
    DecoderModel,
    DeltaNet,
    GatedFeedForward,
    Layer,
    Linear,
    Rope,
    ShortConv,
    Weight,
    Yarn,
)
from aboard.models.hyperparameters import Hyperparameters

MAX_TAPS = 17  # of a convolution: see native/engine/kv_cache.h
_SCALINGS = ("none", "linear", "yarn", "longrope")
_DIVISORS = "rope_freqs.weight"
_SHORT, _LONG = "rope_factors_short.weight", "rope_factors_long.weight"


class DecoderFile:
    """The metadata and the tensor names of a GGUF file, read piece by piece; `model` ends it.

    Attributes
    ----------
    given : Hyperparameters
        The entries that no piece reads are read here.
    width, n_query_heads, head_dim, n_vocabulary, n_layers : int
        As in `DecoderModel` and `Attention`.
    n_kv_heads, ffn_widths : tuple of int
        Of each layer; all alike unless the file may say them `by_layer`. A layer without attention
        has 0 KV heads.

    Raises
    ------
    ConfigError
        One of these is missing or contradicts another.
    """

    def __init__(
        self,
        architecture: str,
        metadata: Mapping[str, object],
        tensor_names: frozenset[str],
        *,
        by_layer: bool = False,
    ) -> None:
        self.architecture = architecture
        self.given = Hyperparameters(metadata, architecture)
        self.width = self.given.integer("embedding_length")
        self.n_query_heads = self.given.integer("attention.head_count")
        self.n_layers = self.given.n_layers("block_count")
        self.n_kv_heads = self._kv_heads(by_layer)
        self.head_dim = self._head_dim()
        self.ffn_widths = self._ffn_widths(by_layer)
        self.n_vocabulary = self.given.n_vocabulary()
        self._names = tensor_names

    def attention(
        self,
        layer: int,
        *,
        rope: Rope | None,
        window: int = 0,
        norm: bool = True,
        post_norm: bool = False,
        head_norms: Literal["each", "all"] | None = None,
        needs_bias: bool = False,
        gated: bool = False,
        head_dim: int | None = None,
        keys_of: int | None = None,
        norm_values: bool = False,
        keys_are_values: bool = False,
    ) -> Attention:
        """The attention of a layer.

        `norm`, `post_norm`: whether there are norms before and after it. `head_norms`: whether
        queries and keys are normed, each head by itself or all together. `needs_bias`: queries,
        keys and values have a bias; otherwise they, and the output, have one where the file does.
        `gated`: each head of queries has a gate behind it. `head_dim`: where it is the layer's own.
        `keys_of`, `norm_values`: as in `Attention`. `keys_are_values`: where the file has no tensor
        for values.

        Raises
        ------
        ConfigError
            The layer has no KV heads.
        """
        d, n_kv_heads = head_dim or self.head_dim, self.n_kv_heads[layer]
        query_rows, kv_rows = self.n_query_heads * d, n_kv_heads * d
        if n_kv_heads == 0:
            raise ConfigError(f"{self.architecture}: layer {layer} has no KV heads")
        with_gates = 2 * query_rows if gated else query_rows
        query, key, value = self._projections(layer, with_gates, kv_rows, needs_bias)
        own = keys_of is None
        own_value = own and not (keys_are_values and not self.has(value.weight.name))
        sizes = (d, d) if head_norms == "each" else (query_rows, kv_rows)
        return Attention(
            n_kv_heads=n_kv_heads,
            head_dim=d,
            query=query,
            key=key if own else None,
            value=value if own_value else None,
            output=self._linear(f"blk.{layer}.attn_output", self.width, query_rows),
            norm=self._norm(layer, "attn_norm") if norm else None,
            post_norm=self._norm(layer, "post_attention_norm") if post_norm else None,
            query_norm=self._norm(layer, "attn_q_norm", sizes[0]) if head_norms else None,
            key_norm=self._norm(layer, "attn_k_norm", sizes[1]) if head_norms and own else None,
            norm_values=norm_values and own,
            keys_of=keys_of,
            gated=gated,
            window=window,
            rope=rope,
        )

    def short_conv(self, layer: int) -> ShortConv:
        """The short convolution of a layer; its gates and its input share a tensor.

        Raises
        ------
        ConfigError
            It looks back further than the engine can.
        """
        prefix, taps = f"blk.{layer}.shortconv.", self._taps("shortconv.l_cache")
        in_gate, out_gate, inputs = self._parts(f"{prefix}in_proj", [self.width] * 3)
        return ShortConv(
            in_gate=in_gate,
            out_gate=out_gate,
            input=inputs,
            taps=Weight(f"{prefix}conv.weight", (self.width, taps)),
            output=Weight(f"{prefix}out_proj.weight", (self.width, self.width)),
            norm=self._norm(layer, "attn_norm"),
        )

    def delta_net(self, layer: int) -> DeltaNet:
        """The gated delta net of a layer.

        Raises
        ------
        ConfigError
            Its shapes contradict each other, or its convolution looks back too far.
        """
        given, block = self.given, f"blk.{layer}."
        d, keys = given.integer("ssm.state_size"), given.integer("ssm.group_count")
        values, inner = given.integer("ssm.time_step_rank"), given.integer("ssm.inner_size")
        if values % keys or inner != values * d or d > 4096:
            raise ConfigError(
                f"{self.architecture}: {values} heads of {d} for {keys} heads of keys don't make "
                f"an ssm.inner_size of {inner}"
            )
        mixed = 2 * keys * d + inner
        return DeltaNet(
            mixed=Weight(f"{block}attn_qkv.weight", (mixed, self.width)),
            gate=Weight(f"{block}attn_gate.weight", (inner, self.width)),
            alpha=Weight(f"{block}ssm_alpha.weight", (values, self.width)),
            beta=Weight(f"{block}ssm_beta.weight", (values, self.width)),
            taps=Weight(f"{block}ssm_conv1d.weight", (mixed, self._taps("ssm.conv_kernel"))),
            decay=Weight(f"{block}ssm_a", (values,)),
            time_step=Weight(f"{block}ssm_dt.bias", (values,)),
            head_norm=Weight(f"{block}ssm_norm.weight", (d,)),
            output=Weight(f"{block}ssm_out.weight", (self.width, inner)),
            n_key_heads=keys,
            norm=self._norm(layer, "attn_norm"),
        )

    def feed_forward(
        self,
        layer: int,
        *,
        norm: bool = True,
        norm_name: str = "ffn_norm",
        post_norm: bool = False,
        function: Literal["silu", "gelu"] = "silu",
        fused: bool = False,
    ) -> GatedFeedForward:
        """The feed-forward block of a layer; `fused`: gate and up share a tensor, in this order."""
        prefix, ffn_width = f"blk.{layer}.ffn_", self.ffn_widths[layer]
        if fused:
            gate, up = (Linear(part) for part in self._parts(f"{prefix}up", [ffn_width] * 2))
        else:
            gate = self._linear(f"{prefix}gate", ffn_width, self.width)
            up = self._linear(f"{prefix}up", ffn_width, self.width)
        return GatedFeedForward(
            gate=gate,
            up=up,
            down=self._linear(f"{prefix}down", self.width, ffn_width),
            norm=self._norm(layer, norm_name) if norm else None,
            post_norm=self._norm(layer, "post_ffw_norm") if post_norm else None,
            function=function,
        )

    def rope(self, pairs: Literal["adjacent", "halves"], base: float = 10_000.0) -> Rope:
        """The rope; `base` where the file gives none.

        Raises
        ------
        ConfigError
            Its kind of scaling is unknown, or incomplete.
        """
        given = self.given
        scaling = self._scaling()
        rotated = given.integer("rope.dimension_count", self.head_dim)

        def divisors(name: str, there: bool) -> Weight | None:
            return Weight(name, (rotated // 2,)) if there else None

        own: dict[str, Any] = {"divisors": divisors(_DIVISORS, self.has(_DIVISORS))}
        if scaling == "longrope":
            own = {"divisors": divisors(_SHORT, True), "long_divisors": divisors(_LONG, True)}
            own["original_context"] = given.integer("rope.scaling.original_context_length")
            own["growth"] = given.number("rope.scaling.attn_factor")
        elif scaling == "yarn":
            own |= self._yarn()
        elif scaling == "linear":
            factor = given.number("rope.scaling.factor", given.number("rope.scale_linear", 1.0))
            own["scale"] = 1.0 / factor
        if scaling in ("none", "longrope"):
            given.must_be("rope.scaling.factor", 1.0, 0.0)
            given.must_be("rope.scale_linear", 1.0, 0.0)
        given.ignore("rope.scale_linear")  # the older name of the factor
        # They only document how the model was made; the kinds without them don't use them.
        given.ignore("rope.scaling.original_context_length", "rope.scaling.finetuned")
        base = given.number("rope.freq_base", base)
        if scaling == "yarn" and base <= 1.0:
            raise ConfigError(
                f"{self.architecture}.rope.freq_base is {base}: YaRN needs more than 1"
            )
        return Rope(base=base, rotated_dims=rotated, pairs=pairs, **own)

    def near_rope(self, rope: Rope, base: float, rotated_dims: int | None = None) -> Rope:
        """The rope of layers with a window: plain, and of a base of its own."""
        own = self.given.number("rope.freq_base_swa", base)
        rotated = rotated_dims or rope.rotated_dims
        return Rope(base=own, rotated_dims=rotated, pairs=rope.pairs)

    def windows(self, *, period: int, default: int = 0) -> list[int]:
        """The window of each layer, 0 where it sees everything.

        Of `period` layers all but the last have a window, unless the file says which have; it is of
        `default` tokens, unless the file says of how many.
        """
        window = self.given.integer("attention.sliding_window", default, low=0)
        near = self.given.pattern("attention.sliding_window_pattern", self.n_layers, period)
        return [window if each else 0 for each in near]

    def leave_out_last_layers(self, n: int) -> frozenset[str]:
        """The tensors of the last `n` layers, which are none of the model's from now on.

        Raises
        ------
        ConfigError
            There are no more.
        """
        if n >= self.n_layers:
            raise ConfigError(
                f"{n} of {self.n_layers} layers of a {self.architecture} are beside the model"
            )
        self.n_layers -= n
        left_out = tuple(f"blk.{self.n_layers + i}." for i in range(n))
        return frozenset(name for name in self._names if name.startswith(left_out))

    def has(self, tensor: str) -> bool:
        """Whether the file has this tensor."""
        return tensor in self._names

    def model(
        self,
        layers: Iterable[Layer],
        *,
        final_norm: str = "output_norm",
        score_scale: float | None = None,
        **own: Any,
    ) -> DecoderModel:
        """The model of these layers; `own` are fields of `DecoderModel` that the others lack.

        `final_norm`: what the file calls the norm before the head. `score_scale`: by default 1 /
        sqrt(d).

        Raises
        ------
        ConfigError
            An entry was not read, or the pieces contradict each other.
        """
        embedding = Weight("token_embd.weight", (self.n_vocabulary, self.width))
        head = Weight("output.weight", embedding.shape) if self.has("output.weight") else embedding
        model = DecoderModel(
            architecture=self.architecture,
            context_length=self.given.integer("context_length"),
            width=self.width,
            n_query_heads=self.n_query_heads,
            n_vocabulary=self.n_vocabulary,
            norm_eps=self.given.number("attention.layer_norm_rms_epsilon"),
            embedding=embedding,
            layers=tuple(layers),
            final_norm=Weight(f"{final_norm}.weight", (self.width,)),
            head=head,
            score_scale=score_scale or 1.0 / math.sqrt(self.head_dim),
            **own,
        )
        self.given.must_be("expert_count", 0)
        self.given.must_be("expert_used_count", 0)
        self.given.finish()
        return model

    def _taps(self, name: str) -> int:
        taps = self.given.integer(name, low=2)
        if taps > MAX_TAPS:
            raise ConfigError(f"{self.architecture}.{name} is {taps}, expected at most {MAX_TAPS}")
        return taps

    def _kv_heads(self, by_layer: bool) -> tuple[int, ...]:
        name = "attention.head_count_kv"
        if by_layer:
            return self.given.integers(name, self.n_layers)
        return (self.given.integer(name, self.n_query_heads),) * self.n_layers

    def _ffn_widths(self, by_layer: bool) -> tuple[int, ...]:
        name = "feed_forward_length"
        if not by_layer:
            return (self.given.integer(name),) * self.n_layers
        found = self.given.integers(name, self.n_layers)
        if 0 in found:
            raise ConfigError(f"{self.architecture}.{name} is 0 of layer {found.index(0)}")
        return found

    def _scaling(self) -> str:
        """How positions are stretched; phi3's files tell of LongRoPE by its tensors alone."""
        found = self.given.text("rope.scaling.type", "longrope" if self.has(_LONG) else "none")
        if found not in _SCALINGS:
            raise ConfigError(
                f"{self.architecture}.rope.scaling.type is {found[:40]!r}, Aboard understands "
                f"{', '.join(map(repr, _SCALINGS))}",
                hint="The positions would be wrong, and with them the answers.",
            )
        return found

    def _yarn(self) -> dict[str, Any]:
        given = self.given
        yarn = Yarn(
            factor=given.number("rope.scaling.factor"),
            original_context=given.integer("rope.scaling.original_context_length"),
            beta_fast=given.number("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=given.number("rope.scaling.yarn_beta_slow", 1.0),
        )
        given.must_be("rope.scaling.yarn_ext_factor", 1.0)
        own: dict[str, Any] = {"yarn": yarn}
        if given.has("rope.scaling.yarn_attn_factor"):
            own["growth"] = given.number("rope.scaling.yarn_attn_factor")
        own["growth_divisor"] = given.number("rope.scaling.yarn_log_multiplier", 0.0, zero=True)
        return own

    def _head_dim(self) -> int:
        given = self.given
        if not given.has("attention.key_length") and self.width % self.n_query_heads:
            raise ConfigError(
                f"a width of {self.width} can't be shared by {self.n_query_heads} heads, and "
                f"{self.architecture}.attention.key_length is missing"
            )
        key = given.integer("attention.key_length", self.width // self.n_query_heads)
        value = given.integer("attention.value_length", key)
        if key != value or key > 4096:
            raise ConfigError(f"heads of {key} for keys and {value} for values, expected equal")
        return key

    def _projections(
        self, layer: int, query_rows: int, kv_rows: int, needs_bias: bool
    ) -> tuple[Linear, Linear, Linear]:
        rows = (query_rows, kv_rows, kv_rows)
        names = [f"blk.{layer}.attn_{letter}" for letter in "qkv"]
        fused = f"blk.{layer}.attn_qkv"
        if self.has(f"{fused}.weight"):
            weights = self._parts(fused, list(rows))
            query, key, value = (
                Linear(weight, self._bias(name, n, needs_bias))
                for weight, name, n in zip(weights, names, rows, strict=True)
            )
        else:
            query, key, value = (
                self._linear(name, n, self.width, needs_bias)
                for name, n in zip(names, rows, strict=True)
            )
        return query, key, value

    def _parts(self, name: str, rows: list[int]) -> list[Weight]:
        """Matrices of so many rows each that stand above each other in one tensor."""
        return [
            Weight(f"{name}.weight", (n, self.width), sum(rows[:i]), sum(rows))
            for i, n in enumerate(rows)
        ]

    def _linear(self, name: str, rows: int, columns: int, needs_bias: bool = False) -> Linear:
        return Linear(Weight(f"{name}.weight", (rows, columns)), self._bias(name, rows, needs_bias))

    def _bias(self, name: str, rows: int, needed: bool) -> Weight | None:
        bias = f"{name}.bias"
        return Weight(bias, (rows,)) if needed or self.has(bias) else None

    def _norm(self, layer: int, name: str, size: int | None = None) -> Weight:
        return Weight(f"blk.{layer}.{name}.weight", (size or self.width,))
