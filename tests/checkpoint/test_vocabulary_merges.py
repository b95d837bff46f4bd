"""vocab.json and merges.txt, against the tokenizer.json of the same family."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError
from checkpoint.families import n_tokens, tiny
from checkpoint.random_texts import random_texts
from checkpoint.vocabularies import golden

TEXTS = [*golden("texts")["texts"], *golden("texts")["marked"]]
CLASSES = {"gpt2": "GPT2Tokenizer", "qwen2": "Qwen2TokenizerFast"}


def folder_of(
    folder: Path,
    vocab: object,
    merges: list[Any] | str,
    tokenizer_class: str | None = "GPT2Tokenizer",
    **config: object,
) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    text = merges if isinstance(merges, str) else "\n".join(["#version: 0.2", *lines, ""])
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    config |= {"tokenizer_class": tokenizer_class}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def made_by_its_rule(shape: str) -> Any:
    """The tokenizer.json of a shape; tokens that lie across a cut are others, of no merge."""
    document = copy.deepcopy(tiny(shape))
    cuts = Library.from_str(json.dumps(document)).pre_tokenizer

    def is_word(token: str) -> bool:
        text = token.replace("Ġ", " ").replace("Ċ", "\n")
        return not text.isascii() or len(cuts.pre_tokenize_str(text)) < 2

    model = document["model"]
    names = {token: token if is_word(token) else f"<{i}>" for token, i in model["vocab"].items()}
    model["vocab"] = {names[token]: i for token, i in model["vocab"].items()}
    model["merges"] = [
        pair for pair in model["merges"] if {*pair, "".join(pair)} <= model["vocab"].keys()
    ]
    return document


def split_up(folder: Path, document: Any, shape: str, **config: object) -> Path:
    """The tokenizer of a shape in two files."""
    added = {str(token["id"]): token for token in document["added_tokens"]}
    return folder_of(
        folder,
        document["model"]["vocab"],
        document["model"]["merges"],
        CLASSES[shape],
        added_tokens_decoder=added,
        **{"eos_token": "<|endoftext|>", "bos_token": None, "unk_token": None, **config},
    )


@pytest.mark.parametrize("shape", CLASSES)
def test_ids_are_those_of_the_tokenizer_json(shape: str, tmp_path: Path) -> None:
    document = made_by_its_rule(shape)
    theirs = Library.from_str(json.dumps(document))
    special = tuple(token["content"] for token in document["added_tokens"])

    found = tokenizer_metadata(split_up(tmp_path, document, shape), n_tokens(document))

    ours = Tokenizer.from_gguf(found)
    assert found["tokenizer.ggml.pre"] == {"gpt2": "gpt-2", "qwen2": "qwen2"}[shape]
    assert "tokenizer.huggingface.json" not in found
    for text in [*TEXTS, *random_texts(400, seed=4, special=special)]:
        assert ours.encode(text) == theirs.encode(text).ids, text


def test_what_the_class_takes_where_files_are_silent_is_a_special_token(tmp_path: Path) -> None:
    vocab = {**tiny("gpt2")["model"]["vocab"], "<|endoftext|>": 700}
    folder = folder_of(tmp_path, vocab, tiny("gpt2")["model"]["merges"])

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder, 701))

    assert ours.encode("<|endoftext|>") == [700]
    assert ours.is_control(700)


def test_tokens_go_around_a_text_where_the_config_says_so(tmp_path: Path) -> None:
    vocab = {**tiny("gpt2")["model"]["vocab"], "<|endoftext|>": 700}
    around = {"add_bos_token": True, "add_eos_token": True, "eos_token": "<|endoftext|>"}
    folder = folder_of(tmp_path, vocab, tiny("gpt2")["model"]["merges"], **around)
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<|endoftext|>"}))

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder, 701))

    ids = ours.encode("a")
    assert (ids[0], ids[-1], len(ids)) == (700, 700, 3)


def test_qwen3_5_has_a_rule_of_its_own_whatever_its_config_says(tmp_path: Path) -> None:
    folder = split_up(tmp_path, made_by_its_rule("qwen2"), "qwen2")
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_5_text"}))

    found = tokenizer_metadata(folder, n_tokens(tiny("qwen2")))

    assert found["tokenizer.ggml.pre"] == "qwen35"


@pytest.mark.parametrize(
    ("kind", "found"),
    [(None, "no tokenizer_class"), ("CodeGenTokenizer", "tokenizer_class 'CodeGenTokenizer'")],
)
def test_without_a_class_that_says_how_words_are_cut_it_is_refused(
    kind: str | None, found: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {"a": 0}, [], kind)

    with pytest.raises(TokenizerError, match=f"has {found}, expected one of GPT2Tok") as caught:
        tokenizer_metadata(folder, 10)
    assert str(caught.value.hint).startswith("Get the tokenizer.json")


@pytest.mark.parametrize(
    ("kind", "token"),
    [("GPT2Tokenizer", ");Ċ"), ("GPT2Tokenizer", "'sa"), ("Qwen2Tokenizer", "12")],
)
def test_a_token_that_lies_across_a_cut_shows_that_the_class_is_another(
    kind: str, token: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {"a": 0, token: 1}, [], kind)

    with pytest.raises(TokenizerError, match=rf"wasn't made by {kind}, .* 1 of its tokens"):
        tokenizer_metadata(folder, 10)


def test_a_large_vocabulary_without_numbers_was_made_with_single_digits(tmp_path: Path) -> None:
    vocab = {f"{'abcdefghij'[i % 10]}{'x' * (i // 10)}": i for i in range(10_001)}

    with pytest.raises(TokenizerError, match="none of its tokens is a number of two digits"):
        tokenizer_metadata(folder_of(tmp_path, vocab, []), 20_000)


@pytest.mark.parametrize(
    ("vocab", "merges", "config", "message"),
    [
        ([1], "", {}, r"vocab\.json: holds list, expected an object"),
        ({"a": "0"}, "", {}, r"vocab\.json: holds other values than ids"),
        ({"a": True}, "", {}, r"vocab\.json: holds other values than ids"),
        ({"a": 0, "b": 0}, [], {}, "merges.txt: model: vocab gives 'a' and 'b' the same id, 0"),
        ({"a": -1}, "", {}, r"merges\.txt: line 1 is '', expected two tokens of vocab\.json"),
        ({"a": 0}, ["a z"], {}, r"merges\.txt: line 2 is 'a z', expected two tokens"),
        ({"a": 0, "aa": 1}, ["aa"], {}, r"merges\.txt: line 2 is 'aa', expected two tokens"),
        ({"a": 0, "aa": 1}, ["a a a"], {}, r"merges\.txt: line 2 is 'a a a', expected two"),
        ({"a": 0, "aa": 1}, ["a a\r"], {}, r"merges\.txt: line 2 is 'a a.r', expected two"),
        ({"a": 0}, "a a\n" * (1 << 20) + "a", {}, r"merges\.txt: has 1048577 lines, expected"),
        ({"a": 0}, [], {"add_prefix_space": True}, "add_prefix_space is true, and a GGUF file"),
        ({"a": 0}, [], {"add_bos_token": True, "bos_token": "<s>"}, "puts '<s>' around a text"),
        ({"a": 1 << 31}, [], {}, "vocab gives 'a' the id 2147483648, expected 0 to 2147483647"),
        ({"a" * 1025: 0}, [], {}, "token 'a+' has 1025 characters, expected at most 1024"),
        ({"a": 99}, [], {}, "has token 99, but the model has 10 rows"),
    ],
)
def test_files_that_are_damaged_or_contradict_each_other_are_refused(
    vocab: object, merges: Any, config: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TokenizerError, match=message):
        tokenizer_metadata(folder_of(tmp_path, vocab, merges, **config), 10)


@pytest.mark.parametrize(("there", "missing"), [("vocab", "merges"), ("merges", "vocab")])
def test_one_of_the_two_files_is_not_enough(there: str, missing: str, tmp_path: Path) -> None:
    ends = {"vocab": "vocab.json", "merges": "merges.txt"}
    (tmp_path / ends[there]).write_text("{}", encoding="utf-8")

    with pytest.raises(TokenizerError, match=f"has {ends[there]}, but no {ends[missing]}"):
        tokenizer_metadata(tmp_path, 10)
