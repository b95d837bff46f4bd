"""BERT (arXiv:1810.04805) and Sentence-BERT: texts become vectors, such as all-MiniLM-L6-v2.

A token's embedding is the sum of its own, of its position's and of the first token type's. What
pooling there is, and how long texts may be, stands in files beside config.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from aboard.errors import ConfigError
from aboard.models.config import Config
from aboard.models.conversion import Conversion, Source, TensorRule
from aboard.models.decoder import Linear, Weight
from aboard.models.encoder import EncoderLayer, EncoderModel, LayerNorm
from aboard.models.hyperparameters import Hyperparameters

# As GGUF numbers them; others are the vector of the last token, and a score instead of a vector.
POOLING: Mapping[int, Literal["mean", "first"]] = {1: "mean", 2: "first"}
N_TOKEN_TYPES = "tokenizer.ggml.token_type_count"
# Keys of ours: GGUF has none for what sentence-transformers keeps in these two.
NORMALIZES, TEXT_LENGTH = "aboard.embedding.normalize", "aboard.embedding.max_tokens"

_LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}
# What a checkpoint may hold beside the encoder: the first task's heads, and numbers counted up.
_UNUSED = ("pooler.", "cls.predictions.", "cls.seq_relationship.", "embeddings.position_ids")


def describe(metadata: Mapping[str, object], tensor_names: frozenset[str]) -> EncoderModel:
    """The model that `metadata` describes; see `aboard.models.describe_model`."""
    given = Hyperparameters(metadata, "bert")
    width, ffn_width = given.integer("embedding_length"), given.integer("feed_forward_length")
    n_heads, n_layers = given.integer("attention.head_count"), given.n_layers("block_count")
    positions = given.integer("context_length")
    n_vocabulary = given.n_vocabulary()
    given.must_be("attention.causal", False)
    given.must_be("attention.head_count_kv", n_heads)
    for key in ("attention.key_length", "attention.value_length"):
        given.must_be(key, width // n_heads)

    def linear(name: str, rows: int, columns: int) -> Linear:
        bias = Weight(f"{name}.bias", (rows,)) if f"{name}.bias" in tensor_names else None
        return Linear(Weight(f"{name}.weight", (rows, columns)), bias)

    def norm(name: str) -> LayerNorm:
        return LayerNorm(Weight(f"{name}.weight", (width,)), Weight(f"{name}.bias", (width,)))

    extra = Hyperparameters(metadata, "aboard.embedding")
    model = EncoderModel(
        architecture="bert",
        context_length=positions,
        text_length=extra.integer("max_tokens", positions),
        width=width,
        n_heads=n_heads,
        ffn_width=ffn_width,
        n_vocabulary=n_vocabulary,
        norm_eps=given.number("attention.layer_norm_epsilon"),
        embedding=Weight("token_embd.weight", (n_vocabulary, width)),
        positions=Weight("position_embd.weight", (positions, width)),
        token_types=_token_types(metadata, tensor_names, width),
        norm=norm("token_embd_norm"),
        layers=tuple(
            EncoderLayer(
                query=linear(f"{block}attn_q", width, width),
                key=linear(f"{block}attn_k", width, width),
                value=linear(f"{block}attn_v", width, width),
                output=linear(f"{block}attn_output", width, width),
                attention_norm=norm(f"{block}attn_output_norm"),
                up=linear(f"{block}ffn_up", ffn_width, width),
                down=linear(f"{block}ffn_down", width, ffn_width),
                output_norm=norm(f"{block}layer_output_norm"),
            )
            for block in (f"blk.{i}." for i in range(n_layers))
        ),
        pooling=_pooling(given),
        normalizes=extra.flag("normalize", True),
    )
    given.finish()
    extra.finish()
    return model


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    width, ffn_width = config.integer("hidden_size"), config.integer("intermediate_size")
    n_layers, n_heads = config.n_layers("num_hidden_layers"), config.integer("num_attention_heads")
    n_vocabulary, n_types = config.integer("vocab_size"), config.integer("type_vocab_size", 2)
    positions = config.integer("max_position_embeddings")
    config.must_be("hidden_act", "gelu")
    config.must_be("position_embedding_type", "absolute")
    config.flag("tie_word_embeddings", True)  # of a head that is left out
    # Dropout and memory while training; the rest is of the pooler, which is left out, too.
    config.ignore("attention_probs_dropout_prob", "hidden_dropout_prob", "classifier_dropout")
    config.ignore("gradient_checkpointing", "directionality", "pooler_num_fc_layers")
    config.ignore(
        *(f"pooler_{each}" for each in ("fc_size", "num_attention_heads", "type", "size_per_head"))
    )
    metadata: dict[str, object] = {
        "bert.context_length": positions,
        "bert.embedding_length": width,
        "bert.feed_forward_length": ffn_width,
        "bert.block_count": n_layers,
        "bert.attention.head_count": n_heads,
        "bert.attention.layer_norm_epsilon": config.number("layer_norm_eps"),
        "bert.attention.causal": False,
        N_TOKEN_TYPES: n_types,
    }
    config.finish()
    rules = [
        _rule("token_embd", "embeddings.word_embeddings", n_vocabulary, width),
        _rule("position_embd", "embeddings.position_embeddings", positions, width),
        _rule("token_types", "embeddings.token_type_embeddings", n_types, width),
        *_pair("token_embd_norm", "embeddings.LayerNorm", width),
    ]
    columns = {"ffn_down": ffn_width}
    for i in range(n_layers):
        for name, source in _LAYER.items():
            names = f"blk.{i}.{name}", f"encoder.layer.{i}.{source}"
            if name.endswith("norm"):
                rules += _pair(*names, width)
            else:
                rows = ffn_width if name == "ffn_up" else width
                rules += _pair(*names, rows, columns.get(name, width))
    return Conversion(
        architecture="bert",
        metadata=metadata,
        n_vocabulary=n_vocabulary,
        tensors=tuple(rules),
        rename=_own_name,
        embedding_width=width,
    )


def _own_name(name: str) -> str | None:
    """The name that a tensor has in a plain BertModel; None for one that says nothing."""
    name = name.removeprefix("bert.")
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(f"LayerNorm{old}"):
            name = name.removesuffix(old) + new
    return None if name.startswith(_UNUSED) else name


def _rule(name: str, source: str, *shape: int, kind: str = "weight") -> TensorRule:
    return TensorRule(f"{name}.{kind}", (Source(f"{source}.{kind}", shape),), shape)


def _pair(name: str, source: str, *shape: int) -> Iterator[TensorRule]:
    """A tensor and its bias."""
    yield _rule(name, source, *shape)
    yield _rule(name, source, shape[0], kind="bias")


def _pooling(given: Hyperparameters) -> Literal["mean", "first"]:
    """A text's vector; the mean where the file is silent, as in sentence-transformers."""
    found = given.integer("pooling_type", 1, low=0)
    if found not in POOLING:
        raise ConfigError(
            f"bert.pooling_type is {found}, Aboard understands 1 (mean) and 2 (first token)",
            hint="The model is made for another task than embeddings.",
        )
    return POOLING[found]


def _token_types(
    metadata: Mapping[str, object], tensor_names: frozenset[str], width: int
) -> Weight | None:
    name = "token_types.weight"
    if name not in tensor_names:
        return None
    count = metadata.get(N_TOKEN_TYPES)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count < 1 << 16:
        raise ConfigError(
            f"{N_TOKEN_TYPES} is {str(count)[:40]}, expected how many rows {name} has"
        )
    return Weight(name, (count, width))
