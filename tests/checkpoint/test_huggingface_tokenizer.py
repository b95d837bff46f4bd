"""Tokenizers of Hugging Face folders against the `tokenizers` library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from aboard.checkpoint.huggingface_tokenizer import as_gemma4, tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError, UsageError
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
from checkpoint.vocabularies import CONTROL, NORMAL, UNUSED, USER_DEFINED, golden

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


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_unigram_is_encoded_by_the_library_itself(byte_fallback: bool, tmp_path: Path) -> None:
    document = trained_unigram()
    document["model"]["byte_fallback"] = byte_fallback
    folder = write_folder(tmp_path, document, eos_token="</s>")
    theirs, ours = library(folder), Tokenizer.from_gguf(imported(folder))

    for text in [*TEXTS, *random_texts(200, seed=8, special=("</s>",))]:
        ids = theirs.encode(text).ids
        assert ours.encode(text) == ids, text
        assert ours.decode(ids, skip_special=False) == theirs.decode(ids, False), text


def test_the_entries_are_those_of_llama_cpps_converter(tmp_path: Path) -> None:
    entries = imported(tiny_folder(tmp_path, "qwen2"))

    kinds = dict(
        zip(entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"], strict=True)  # type: ignore[call-overload]
    )
    chosen = ("a", "<|im_end|>", "<think>", "<|fim_prefix|>")
    assert [kinds[text] for text in chosen] == [NORMAL, CONTROL, USER_DEFINED, CONTROL]
    assert {key: value for key, value in entries.items() if np.ndim(value) == 0} == {  # type: ignore[arg-type]
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.eos_token_id": kinds_index(entries, "<|im_end|>"),
        "tokenizer.ggml.padding_token_id": kinds_index(entries, "<|endoftext|>"),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
    }
    assert entries["tokenizer.ggml.merges"][:1] == ["Ġ Ġ"]  # type: ignore[index]


def kinds_index(entries: dict[str, object], text: str) -> int:
    tokens: list[str] = entries["tokenizer.ggml.tokens"]  # type: ignore[assignment]
    return tokens.index(text)


def test_a_model_with_more_rows_gets_unused_tokens(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, "llama2")
    n = n_tokens(tiny("llama2"))

    entries = imported(folder, n + 3)

    tokens, types = entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"]
    assert tokens[n:] == [f"[PAD{i}]" for i in range(n, n + 3)]  # type: ignore[index]
    assert list(types[n:]) == [UNUSED] * 3  # type: ignore[index]
    assert Tokenizer.from_gguf(entries).n_vocabulary == n + 3


def test_a_model_with_fewer_rows_is_refused(tmp_path: Path) -> None:
    document = tiny("llama2")

    with pytest.raises(TokenizerError, match=r"tokenizer\.json: has token \d+, but the model has"):
        tokenizer_metadata(write_folder(tmp_path, document), len(document["model"]["vocab"]) - 1)


def test_an_added_token_without_a_row_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny_folder(tmp_path, "gemma")  # <unused0> is the last

    entries = imported(folder, n_tokens(tiny("gemma")) - 1)

    assert "<unused0>" not in entries["tokenizer.ggml.tokens"]  # type: ignore[operator]
    assert "has no row for the added '<unused0>'" in caplog.text


def test_merged_tokens_have_the_scores_of_their_ranks(tmp_path: Path) -> None:
    entries: Any = imported(tiny_folder(tmp_path, "mistral"))
    merges = entries["tokenizer.ggml.merges"]

    ids = [kinds_index(entries, text) for text in (*(m.replace(" ", "") for m in merges[:2]), "a")]

    assert [entries["tokenizer.ggml.scores"][i] for i in ids] == [0.0, -1.0, -len(merges)]


@pytest.mark.parametrize("shape", ["phi4", "phi3", "gemma", "digits-of-three", "metaspace"])
def test_text_that_is_not_trusted_becomes_no_control_token(shape: str, tmp_path: Path) -> None:
    ours = Tokenizer.from_gguf(imported(tiny_folder(tmp_path, shape)))
    special = [t["content"] for t in tiny(shape)["added_tokens"] if t["special"]]

    for text in random_texts(200, seed=2, special=tuple(special)):
        ids = ours.encode(text, add_special=False, parse_special=False)
        assert not any(map(ours.is_control, ids)), text
    assert ours.control_in(f"a{special[0]}b") == special[0]
    assert ours.control_in("ab") is None


def test_a_text_that_the_model_itself_makes_a_control_token_of_is_refused(tmp_path: Path) -> None:
    document = trained_unigram()  # its vocabulary holds </s> as a piece
    ours = Tokenizer.from_gguf(imported(write_folder(tmp_path, document, eos_token="</s>")))

    with pytest.raises(UsageError, match="spells the control token '</s>'"):
        ours.encode("</s>", parse_special=False)


def test_tokens_that_only_the_config_names_are_added_as_transformers_does(tmp_path: Path) -> None:
    document = tiny("gpt2")
    n = n_tokens(document)
    extra = {"content": "<extra>", "special": True, "normalized": False}
    folder = write_folder(
        tmp_path, document, added_tokens_decoder={str(n): extra}, additional_special_tokens=["<x>"]
    )

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder, n + 2))

    assert ours.encode("<extra><x>") == [n, n + 1]


def test_an_added_token_with_an_id_that_it_does_not_get_is_refused(tmp_path: Path) -> None:
    document = tiny("gpt2")
    document["added_tokens"][0]["id"] += 1

    with pytest.raises(TokenizerError, match="has id 701, but 700 is the one it gets"):
        tokenizer_metadata(write_folder(tmp_path, document), 702)


def test_a_folder_without_a_tokenizer_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_text("{}")

    with pytest.raises(TokenizerError, match=r"has only spiece\.model, expected tokenizer\.json"):
        tokenizer_metadata(tmp_path, 10)


def test_the_hash_covers_the_embedded_file_and_how_spaces_go(tmp_path: Path) -> None:
    embedded = imported(tiny_folder(tmp_path / "a", "metaspace"))
    spaced = imported(tiny_folder(tmp_path / "b", "phi3"))
    changed = str(embedded[EMBEDDED]).replace('"split":true', '"split":false')

    hashes = [
        Tokenizer.from_gguf(entries).sha256
        for entries in (
            embedded,
            embedded | {EMBEDDED: changed},
            spaced,
            spaced | {"aboard.tokenizer.spaces": "first"},
            spaced | {"aboard.tokenizer.strips_right": np.array([], np.int32)},
        )
    ]

    assert len(set(hashes)) == 5


def test_gemma_4_has_its_own_name_for_the_same_tokens(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path, "gemma")
    entries = as_gemma4(imported(folder))
    assert entries["tokenizer.ggml.model"] == "gemma4"
    assert not {"tokenizer.ggml.pre", "aboard.tokenizer.spaces"} & entries.keys()
    theirs = library(folder)

    ours = Tokenizer.from_gguf(entries)

    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text).ids, text


@pytest.mark.parametrize("shape", sorted({*SHAPES} - {"gemma"}))
def test_another_tokenizer_keeps_its_name_in_a_gemma_4(tmp_path: Path, shape: str) -> None:
    entries = imported(tiny_folder(tmp_path, shape))

    renamed = as_gemma4(entries)

    if entries.get("aboard.tokenizer.spaces") != "never":
        assert renamed == entries
