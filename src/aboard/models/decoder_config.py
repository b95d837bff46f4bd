"""A decoder-only transformer's config.json, and what all such models have in common in GGUF.

An architecture's `convert` reads what is its own, then asks for the parts, layer by layer.
"""

from __future__ import annotations

from aboard.models.config import Config
from aboard.models.conversion import (
    AdjacentPairs,
    Conversion,
    Float32,
    Source,
    TensorRule,
    Transform,
)
from aboard.models.rope_config import RopeConfig


class DecoderConfig:
    """Collects the metadata and the tensors of a decoder.

    Parameters
    ----------
    architecture : str
        What GGUF calls it.
    config : Config
        Of the checkpoint. The common members are read here.
    norms : Transform, optional
        What is done to every norm.
    norm_eps : str
        The name of what is added to the mean square in a norm.
    ffn_width : int, optional
        By default that of `intermediate_size`.
    tied : bool, optional
        Whether the head is the embedding; by default what `tie_word_embeddings` says, or not.

    Attributes
    ----------
    metadata : dict
        Under the names of GGUF, the architecture's prefix included.
    rules : list of TensorRule
        In the order of the file.
    made : dict
        Tensors that follow from the hyper-parameters.
    unused : set of str
        Tensors that may be there and say nothing.
    """

    def __init__(
        self,
        architecture: str,
        config: Config,
        *,
        norm_eps: str = "rms_norm_eps",
        ffn_width: int | None = None,
        tied: bool | None = None,
        norms: Transform | None = None,
    ) -> None:
        self.architecture, self.config, self.norms = architecture, config, norms
        self.width = config.integer("hidden_size")
        self.ffn_width = ffn_width or config.integer("intermediate_size")
        self.n_layers = config.n_layers("num_hidden_layers")
        self.n_query_heads = config.integer("num_attention_heads")
        self.n_kv_heads = config.integer("num_key_value_heads", self.n_query_heads)
        self.n_vocabulary = config.integer("vocab_size")
        self.context = config.integer("max_position_embeddings")
        self.head_dim = self._head_dim()
        self.tied = config.flag("tie_word_embeddings", False) if tied is None else tied
        self.rules: list[TensorRule] = []
        self.heads: tuple[TensorRule, ...] = ()
        self.made: dict[str, Float32] = {}
        self.unused: set[str] = set()
        self.metadata: dict[str, object] = {}
        for key, value in {
            "vocab_size": self.n_vocabulary,
            "context_length": self.context,
            "embedding_length": self.width,
            "block_count": self.n_layers,
            "feed_forward_length": self.ffn_width,
            "attention.head_count": self.n_query_heads,
            "attention.head_count_kv": self.n_kv_heads,
            "attention.key_length": self.head_dim,
            "attention.value_length": self.head_dim,
            "attention.layer_norm_rms_epsilon": config.number(norm_eps),
        }.items():
            self.set(key, value)

    def set(self, key: str, value: object) -> None:
        """Store a hyper-parameter, under GGUF's name without the architecture before it."""
        self.metadata[f"{self.architecture}.{key}"] = value

    def rope(
        self,
        rope: RopeConfig,
        rotated_dims: int,
        kinds: tuple[str, ...] = ("default", "linear", "llama3", "yarn"),
    ) -> None:
        """Store rotary embedding of these kinds, and refuse others.

        Raises
        ------
        ConfigError
            It is of another kind, or a member is unknown.
        """
        rope.require(*kinds)
        self.set("rope.dimension_count", rotated_dims)
        self.set("rope.freq_base", rope.base)
        if rope.kind == "linear":
            self.set("rope.scaling.type", "linear")
            self.set("rope.scaling.factor", rope.scaling.number("factor"))
        elif rope.kind == "llama3":
            self.made["rope_freqs.weight"] = rope.llama3_divisors(rotated_dims, self.context)
        elif rope.kind == "yarn":
            for key, value in rope.yarn(self.context).items():
                self.set(key, value)
        elif rope.kind == "longrope":
            original = rope.original_context(self.context)
            self.set("rope.scaling.attn_factor", rope.longrope_growth(self.context, original))
            self.made |= rope.longrope_divisors(rotated_dims)
        rope.scaling.finish()

    def tensor(
        self, name: str, source: str, *shape: int, transform: Transform | None = None
    ) -> None:
        """Add a tensor that has one of the checkpoint's, both without ".weight"."""
        self._rule(f"{name}.weight", f"{source}.weight", shape, transform)

    def matrix(
        self,
        name: str,
        source: str,
        rows: int,
        columns: int,
        *,
        bias: bool = False,
        transform: Transform | None = None,
    ) -> None:
        """Add a matrix and, with `bias`, what is added to its product; the same is done to both."""
        self._rule(f"{name}.weight", f"{source}.weight", (rows, columns), transform)
        if bias:
            self._rule(f"{name}.bias", f"{source}.bias", (rows,), transform)

    def norm(self, layer: int, name: str, source: str) -> None:
        """Add a norm of a layer, (D,): by its name in GGUF and in the checkpoint."""
        self.tensor(
            f"blk.{layer}.{name}",
            f"model.layers.{layer}.{source}",
            self.width,
            transform=self.norms,
        )

    def embedding(self) -> None:
        """Add the embedding."""
        self.tensor("token_embd", "model.embed_tokens", self.n_vocabulary, self.width)

    def attention(
        self,
        layer: int,
        *,
        adjacent_pairs: bool,
        norm: bool = True,
        bias: bool = False,
        output_bias: bool = False,
        head_norms: bool = False,
        head_dim: int | None = None,
        n_kv_heads: int | None = None,
        projections: str = "qkv",
    ) -> None:
        """Add the matrices of a layer's attention, and the norm before it.

        `bias`: of queries, keys and values. `head_norms`: each head of queries and keys is normed.
        `head_dim`, `n_kv_heads`: where they are the layer's own. `projections`: "q", "qk" or "qkv",
        those that the layer has.
        """
        block, module = f"blk.{layer}.", f"model.layers.{layer}."
        d = head_dim or self.head_dim
        rows, kv_rows = self.n_query_heads * d, (n_kv_heads or self.n_kv_heads) * d
        turned = AdjacentPairs(d) if adjacent_pairs else None
        if norm:
            self.norm(layer, "attn_norm", "input_layernorm")
        attention = f"{module}self_attn."
        for letter in projections:
            n = rows if letter == "q" else kv_rows
            done = None if letter == "v" else turned
            name, source = f"{block}attn_{letter}", f"{attention}{letter}_proj"
            self.matrix(name, source, n, self.width, bias=bias, transform=done)
        output = f"{block}attn_output"
        self.matrix(output, f"{attention}o_proj", self.width, rows, bias=output_bias)
        if head_norms:
            for letter in projections.removesuffix("v"):
                name = f"{letter}_norm"
                self.tensor(f"{block}attn_{name}", f"{attention}{name}", d)

    def feed_forward(
        self,
        layer: int,
        *,
        norm: str | None = "post_attention_layernorm",
        bias: bool = False,
        width: int | None = None,
    ) -> None:
        """Add the three matrices of a layer's gated feed-forward, and the norm before it.

        `width`: where it is the layer's own.
        """
        block, mlp = f"blk.{layer}.", f"model.layers.{layer}.mlp."
        ffn_width = width or self.ffn_width
        if norm is not None:
            self.norm(layer, "ffn_norm", norm)
        self.matrix(f"{block}ffn_gate", f"{mlp}gate_proj", ffn_width, self.width, bias=bias)
        self.matrix(f"{block}ffn_up", f"{mlp}up_proj", ffn_width, self.width, bias=bias)
        self.matrix(f"{block}ffn_down", f"{mlp}down_proj", self.width, ffn_width, bias=bias)

    def head(self, norm: tuple[str, str] = ("output_norm", "model.norm")) -> None:
        """Add the last norm, `norm` in both files, and the head unless the embedding is it."""
        self.tensor(*norm, self.width, transform=self.norms)
        if not self.tied:
            self.tensor("output", "lm_head", self.n_vocabulary, self.width)
        elif self.config.has("tie_word_embeddings") and not self.config.says("tie_word_embeddings"):
            shape = (self.n_vocabulary, self.width)
            source = Source("lm_head.weight", shape)
            self.heads = (TensorRule("output.weight", (source,), shape),)

    def conversion(self) -> Conversion:
        """All that was collected; whatever the config has beside it is refused.

        Raises
        ------
        ConfigError
            A member of the config was not read.
        """
        self.config.finish()
        tied = {"lm_head.weight": "model.embed_tokens.weight"} if self.tied else {}
        # Early checkpoints hold the frequencies of the rope, which follow from the config.
        inverse = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(self.n_layers)}
        return Conversion(
            architecture=self.architecture,
            metadata=self.metadata,
            n_vocabulary=self.n_vocabulary,
            tensors=tuple(self.rules),
            made=self.made,
            copies=tied,
            heads=self.heads,
            unused=frozenset(inverse | self.unused),
        )

    def _rule(
        self, name: str, source: str, shape: tuple[int, ...], transform: Transform | None
    ) -> None:
        self.rules.append(TensorRule(name, (Source(source, shape),), shape, transform))

    def _head_dim(self) -> int:
        config = self.config
        if not config.has("head_dim") and self.width % self.n_query_heads:
            raise config.contradiction(
                f"a hidden_size of {self.width} can't be shared by {self.n_query_heads} heads, and "
                "head_dim is missing"
            )
        found = config.integer("head_dim", self.width // self.n_query_heads)
        if found % 2 or found > 4096:
            raise config.contradiction(f"head_dim is {found}, expected an even number up to 4096")
        return found
