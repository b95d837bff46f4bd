"""A tiny model that speaks: it has counted which word follows which in the texts of the checks.

One token for each word; the embedding of a token is its own direction, the head holds the
logarithms of the counts, and the layer between adds next to nothing. So it predicts those texts
well, and their order matters: a sound model of 0.5 million weights, made without training.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers.pre_tokenizers import PreTokenizer

from aboard.checkpoint.pretokenizers import build_pre_tokenizer, find_word_rule
from aboard.evaluate.texts import CODE, OPENING, PROSE
from tiny import CHATML, SPECIAL_TOKENS, Llama, gguf_tensors, llama_weights, model_metadata
from tiny_gguf import Tensor, float32_tensor, write_gguf

Tensors = dict[str, Tensor]
PRE = "llama-bpe"  # takes a word that is a token as it is, whatever the merges say
STORY = f"{OPENING} had a small dog and a large wooden box. {PROSE}{CODE}"
_BACKGROUND = 1e-6  # the probability of a word that never came


@cache
def words() -> tuple[str, ...]:
    """The text as words, in the letters that stand for bytes."""
    cut: PreTokenizer = build_pre_tokenizer(find_word_rule(PRE))
    return tuple(word for word, _ in cut.pre_tokenize_str(STORY))


@cache
def vocabulary() -> tuple[str, ...]:
    """256 bytes, the words of several letters, then the special tokens."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    letters = [chr(byte if byte in printable else next(others)) for byte in range(256)]
    return (*letters, *sorted({*words()} - {*letters}), *SPECIAL_TOKENS)


def shape() -> Llama:
    """One layer; as wide as the vocabulary is long, rounded up to a multiple of 32."""
    size = len(vocabulary())
    width = -(-size // 32) * 32
    return Llama(layers=1, width=width, heads=1, kv_heads=1, head_dim=32, ffn=32, vocabulary=size)


def tokens_metadata() -> dict[str, object]:
    """The tokenizer's entries, and a ChatML template."""
    tokens = list(vocabulary())
    n_special = len(SPECIAL_TOKENS)
    first = len(tokens) - n_special
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": PRE,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array([1] * first + [3] * n_special, np.int32),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.bos_token_id": first,
        "tokenizer.ggml.eos_token_id": first + 2,
        "tokenizer.chat_template": CHATML,
    }


def token_id(text: str) -> int:
    """The id of a token by its letters."""
    return vocabulary().index(text)


@cache
def _weights() -> dict[str, np.ndarray]:
    model = shape()
    weights = {name: values * 0.01 for name, values in llama_weights(model, seed=0).items()}
    size = model.vocabulary
    counts = np.full((size, size), _BACKGROUND)
    ids = [token_id(word) for word in words()]
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    likely = np.log(counts / counts.sum(axis=1, keepdims=True))
    weights["model.embed_tokens.weight"] = np.eye(size, model.width, dtype=np.float32)
    # The norm makes one direction of length sqrt(width) of the token's own.
    head = np.zeros((size, model.width), np.float32)
    head[:, :size] = likely.T / np.sqrt(model.width)
    weights["lm_head.weight"] = head
    weights["model.norm.weight"] = np.ones(model.width, np.float32)
    return weights


def speaking(
    path: Path,
    *,
    metadata: Mapping[str, object] = {},
    change: Callable[[Tensors], object] = lambda tensors: None,
) -> Path:
    """The model's file; `metadata` replaces entries (None: leaves out), `change` edits tensors."""
    model = shape()
    tensors = gguf_tensors(model, _weights())
    change(tensors)
    entries = {**model_metadata(model), **tokens_metadata(), **metadata}
    return write_gguf(path, {k: v for k, v in entries.items() if v is not None}, tensors)


def with_values(name: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], object]:
    """A change: the values of an F32 tensor are what `edit` makes of them."""

    def change(tensors: Tensors) -> None:
        values = np.frombuffer(tensors[name].data, "<f4").reshape(tensors[name].shape)
        tensors[name] = float32_tensor(edit(values.copy()))

    return change
