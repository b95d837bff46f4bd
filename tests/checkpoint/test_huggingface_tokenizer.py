"""Tokenizers of Hugging Face folders against the `tokenizers` library."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from checkpoint.families import (
    PLAIN,
    SHAPES,
    n_tokens,
    tiny,
    tiny_folder,
    trained_unigram,
    write_folder,
)
from checkpoint.random_texts import random_texts
from checkpoint.vocabularies import golden

EMBEDDED = "tokenizer.huggingface.json"
TEXTS = [*golden("texts")["texts"], *golden("texts")["marked"]]


def imported(folder: Path, n_vocabulary: int | None = None) -> dict[str, object]:
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return tokenizer_metadata(folder, n_vocabulary or n_tokens(document))


def library(folder: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


def texts_for(shape: str) -> list[str]:
    special = tuple(token["content"] for token in tiny(shape)["added_tokens"])
    return [*TEXTS, *random_texts(400, seed=4, special=special)]


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_are_those_of_the_library(shape: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, shape)
    theirs = library(folder)

    ours = Tokenizer.from_gguf(imported(folder))

    for text in texts_for(shape):
        wanted = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, add_special=False) == wanted, text
        around = theirs.encode(text).ids
        assert ours.encode(text) == around or wanted[:1] == around[:1], text
