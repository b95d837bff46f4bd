"""Tokenizers of Hugging Face folders against the `tokenizers` library."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from checkpoint.families import (
    EMBEDDING,
    PRE,
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
    assert ours.encode("Hello") == theirs.encode("Hello").ids


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_gives_the_text_that_the_library_gives(shape: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, shape)
    theirs, ours = library(folder), Tokenizer.from_gguf(imported(folder))

    for text in texts_for(shape):
        ids = theirs.encode(text, add_special_tokens=False).ids
        stream = ours.stream(skip_special=False)
        pieces = [stream.push(token_id) for token_id in ids] + [stream.finish()]
        assert "".join(pieces) == theirs.decode(ids, skip_special_tokens=False), text


@pytest.mark.parametrize("shape", SHAPES)
def test_what_gguf_can_say_needs_no_embedded_file(shape: str, tmp_path: Path) -> None:
    entries = imported(tiny_folder(tmp_path, shape))

    assert (EMBEDDED in entries) == (shape in EMBEDDING)
    assert entries.get("tokenizer.ggml.pre") == PRE.get(shape)
