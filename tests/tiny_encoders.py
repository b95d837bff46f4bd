"""Tiny random BERT models as Hugging Face folders, the same for a seed on every machine.

>>> from tiny_encoders import TinyBert, bert_folder
>>> folder = bert_folder(tmp_path / "tiny", TinyBert(heads=4), seed=1)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tiny_blocks import Random

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (
    *SPECIAL,
    *"abcdefghijklmnopqrstuvwxyz0123456789.,!?-'\"()é中日本語한ωя",
    *("##" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789éωя"),
    *("the", "th", "##er", "##re", "##ing", "##in", "sea", "bo", "##at", "un", "##til", "##ly"),
)
_MODES = {"mean": "mean_tokens", "cls": "cls_token"}
POOLING = "sentence_transformers.models."


@dataclass(frozen=True)
class TinyBert:
    """The shape of a tiny model.

    `pooling` and `normalizes`: of modules.json, None for no such file. `own`: further members of
    config.json.
    """

    layers: int = 2
    width: int = 64
    heads: int = 4
    ffn: int = 96
    positions: int = 160
    types: int = 2
    vocabulary: int = len(PIECES)
    norm_epsilon: float = 1e-12
    pooling: str | None = "mean"
    normalizes: bool = True
    text_length: int | None = None
    own: Mapping[str, Any] = field(default_factory=dict)


def bert_config(model: TinyBert) -> dict[str, Any]:
    """config.json, as transformers writes it."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": model.width,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "max_position_embeddings": model.positions,
        "type_vocab_size": model.types,
        "vocab_size": model.vocabulary,
        "layer_norm_eps": model.norm_epsilon,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "position_embedding_type": "absolute",
        "pad_token_id": 0,
        **model.own,
    }


def bert_weights(model: TinyBert, seed: int) -> dict[str, np.ndarray]:
    """Random float32 weights by the names of transformers; the pooler's are left out."""
    random, width = Random(seed), model.width
    weights: dict[str, np.ndarray] = {}

    def norm(name: str) -> None:
        weights[f"{name}.LayerNorm.weight"] = random.uniform(0.5, 1.5, width)
        weights[f"{name}.LayerNorm.bias"] = random.weights(0.3, width)

    def dense(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = random.weights(1.0 / columns**0.5, rows, columns)
        weights[f"{name}.bias"] = random.weights(0.3, rows)

    for kind, rows in (
        ("word", model.vocabulary),
        ("position", model.positions),
        ("token_type", model.types),
    ):
        weights[f"embeddings.{kind}_embeddings.weight"] = random.weights(0.6, rows, width)
    norm("embeddings")
    for i in range(model.layers):
        block = f"encoder.layer.{i}."
        for name in ("query", "key", "value"):
            dense(f"{block}attention.self.{name}", width, width)
        dense(f"{block}attention.output.dense", width, width)
        norm(f"{block}attention.output")
        dense(f"{block}intermediate.dense", model.ffn, width)
        dense(f"{block}output.dense", width, model.ffn)
        norm(f"{block}output")
    return weights


def bert_folder(
    folder: Path,
    model: TinyBert | None = None,
    *,
    seed: int = 0,
    weights: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """The folder that sentence-transformers would save; the tokenizer is vocab.txt."""
    model = model or TinyBert()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(bert_config(model)))
    save_file(
        dict(bert_weights(model, seed) if weights is None else weights),
        folder / "model.safetensors",
    )
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if model.pooling is not None:
        steps = ["Transformer", "Pooling", *(["Normalize"] if model.normalizes else [])]
        paths = ["", "1_Pooling", "2_Normalize"]
        modules = [
            {"idx": i, "name": str(i), "path": paths[i], "type": POOLING + step}
            for i, step in enumerate(steps)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir(exist_ok=True)
        pooling = {"word_embedding_dimension": model.width}
        pooling |= {f"pooling_mode_{_MODES[model.pooling]}": True, "pooling_mode_max_tokens": False}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if model.text_length is not None:
        limits = {"max_seq_length": model.text_length, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(limits))
    return folder
