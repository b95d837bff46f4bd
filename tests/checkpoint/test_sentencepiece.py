"""tokenizer.model against the sentencepiece library."""

import io
import json
import re
from functools import cache
from pathlib import Path

import pytest
import sentencepiece

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.sentencepiece_model import read_sentencepiece
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError
from checkpoint.families import corpus
from checkpoint.random_texts import random_texts
from checkpoint.vocabularies import golden

TEXTS = [*golden("texts")["texts"], *random_texts(300, seed=5)]
IDENTITY = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
NO_SPACES = {**IDENTITY, "add_dummy_prefix": False}
SHAPES: dict[str, dict[str, object]] = {
    "llama2": IDENTITY,
    "default": {},
    "case-folded": {"normalization_rule_name": "nmt_nfkc_cf", "byte_fallback": False},
    "gemma": {**NO_SPACES, "user_defined_symbols": ["▁▁", "▁▁▁", "<h1>", "é日"]},
    "charsmap": {"normalization_rule_name": "nfkc", "remove_extra_whitespaces": False},
    "single-spaces": {"normalization_rule_name": "identity", "add_dummy_prefix": False},
    "unigram": {"model_type": "unigram"},
    "unigram-unknown": {"model_type": "unigram", "byte_fallback": False},
    "unigram-llama2": {"model_type": "unigram", **IDENTITY},
    "unigram-spaces": {
        "model_type": "unigram",
        **NO_SPACES,
        "allow_whitespace_only_pieces": True,
        "max_sentencepiece_length": 24,
    },
}


def trained(**options: object) -> bytes:
    made = io.BytesIO()
    lines = [line for line in corpus() if line.strip() and "\0" not in line]
    sentencepiece.SentencePieceTrainer.train(
        **{
            "sentence_iterator": iter(lines),
            "model_writer": made,
            "model_type": "bpe",
            "vocab_size": 700,
            "byte_fallback": True,
            "character_coverage": 0.98,
            "num_threads": 1,
            "minloglevel": 2,
            "hard_vocab_limit": False,
            **options,
        }
    )
    return made.getvalue()


@cache
def model_of(shape: str) -> bytes:
    return trained(**SHAPES[shape])


def folder_of(folder: Path, content: bytes, **config: object) -> Path:
    (folder / "tokenizer.model").write_bytes(content)
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_are_those_of_the_library(shape: str, tmp_path: Path) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model_of(shape))

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder_of(tmp_path, model_of(shape)), 700))

    for text in TEXTS:
        plain = text.replace("<s>", "").replace("</s>", "").replace("<unk>", "")
        assert ours.encode(plain, add_special=False) == theirs.encode(plain), plain


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_are_those_of_the_library(shape: str, tmp_path: Path) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model_of(shape))
    ours = Tokenizer.from_gguf(tokenizer_metadata(folder_of(tmp_path, model_of(shape)), 700))
    marks_at_start = re.compile(r"\s*▁")  # there the library takes them for spaces it has put

    for text in TEXTS:
        ids = theirs.encode(text)
        if 0 in ids or marks_at_start.match(text):
            continue
        stream = ours.stream(skip_special=False)
        pieces = [stream.push(token_id) for token_id in ids] + [stream.finish()]
        assert "".join(pieces) == theirs.decode(ids), text


def test_of_cuts_that_are_as_likely_the_librarys_is_taken(tmp_path: Path) -> None:
    content = model_of("unigram-spaces")
    theirs = sentencepiece.SentencePieceProcessor(model_proto=content)
    ours = Tokenizer.from_gguf(tokenizer_metadata(folder_of(tmp_path, content), 700))

    for text in (c * n for c in ("\n", " ", "e", "es", " the", "a ") for n in range(1, 120)):
        assert ours.encode(text, add_special=False) == theirs.encode(text), text


def test_unigram_entries_are_those_of_llama_cpps_converter(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, model_of("unigram"), eos_token="</s>")

    found = tokenizer_metadata(folder, 700)

    names = ("model", "pre", "add_space_prefix", "remove_extra_whitespaces", "unknown_token_id")
    assert [found[f"tokenizer.ggml.{name}"] for name in names] == ["t5", "default", True, True, 0]
    assert found["tokenizer.ggml.precompiled_charsmap"].size > 100_000  # type: ignore[attr-defined]


def test_a_unigram_model_of_a_class_with_ids_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, model_of("unigram"), tokenizer_class="XLMRobertaTokenizer")

    with pytest.raises(TokenizerError, match="tokenizer_class is 'XLMRobertaTokenizer', expected"):
        tokenizer_metadata(folder, 700)


def test_no_text_becomes_an_unused_piece(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, model_of("unigram-llama2"))
    found = tokenizer_metadata(folder, 800)
    found["tokenizer.ggml.tokens"][-1] = "zqx"  # type: ignore[index]

    ours = Tokenizer.from_gguf(found)

    assert 799 not in ours.encode("zqx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unknown_token_id": None}, "unknown_token_id is missing, which a Unigram model needs"),
        ({"scores": None}, "scores is missing"),
        ({"tokens": ["a" * 300], "token_type": [1], "scores": [0.0]}, "has 300 characters"),
        ({"tokens": ["a"], "token_type": [3], "scores": [0.0]}, "has no ordinary piece"),
        ({"normalizer.x": 1}, "doesn't know what it does"),
    ],
)
def test_a_file_with_a_faulty_unigram_model_is_refused(
    changes: dict[str, object], message: str
) -> None:
    entries = {"model": "t5", "tokens": ["<unk>", "a"], "token_type": [2, 1], "scores": [0.0, -1.0]}
    entries |= {"unknown_token_id": 0, "add_eos_token": False} | changes

    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf({f"tokenizer.ggml.{k}": v for k, v in entries.items() if v is not None})


def test_the_pieces_are_those_of_the_library() -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model_of("gemma"))

    ours = read_sentencepiece(model_of("gemma"), "tokenizer.model")

    pieces = [(theirs.id_to_piece(i), theirs.get_score(i)) for i in range(len(theirs))]
    assert [(piece.text, piece.score) for piece in ours.pieces] == pieces
    assert ours.roles == {"unk": 0, "bos": 1, "eos": 2}


def test_the_entries_are_those_of_llama_cpps_converter(tmp_path: Path) -> None:
    added = {"700": {"content": "<|im_end|>", "special": False}, "701": {"content": "<b>▁"}}
    folder = folder_of(tmp_path, model_of("llama2"), added_tokens_decoder=added, eos_token="</s>")

    found = tokenizer_metadata(folder, 703)

    assert found["tokenizer.ggml.model"] == "llama"
    assert found["tokenizer.ggml.pre"] == "default"
    assert found["tokenizer.ggml.tokens"][-3:] == ["<|im_end|>", "<b> ", "[PAD702]"]  # type: ignore[index]
    assert list(found["tokenizer.ggml.token_type"][:4]) == [2, 3, 3, 6]  # type: ignore[index]
    assert list(found["tokenizer.ggml.token_type"][-3:]) == [3, 4, 5]  # type: ignore[index]
    assert list(found["tokenizer.ggml.scores"][-3:]) == [-1000.0, -1000.0, -10000.0]  # type: ignore[index]
    assert (found["tokenizer.ggml.add_bos_token"], found["tokenizer.ggml.add_space_prefix"]) == (
        True,
        True,
    )
    assert found["tokenizer.ggml.unknown_token_id"] == 0


def test_the_config_says_what_goes_around_a_text(tmp_path: Path) -> None:
    config = {"add_bos_token": False, "add_eos_token": True}
    folder = folder_of(tmp_path, model_of("llama2"), **config)

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder, 700))

    assert ours.encode("")[:1] == [2]
    assert (ours.adds_bos, ours.adds_eos, ours.bos_id) == (False, True, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "char"}, "is a character model, expected BPE or Unigram"),
        ({"treat_whitespace_as_suffix": True}, "has treat_whitespace_as_suffix"),
        ({"user_defined_symbols": ["<b>"]}, "has user-defined pieces besides add_dummy_prefix"),
        (
            {"model_type": "unigram", "user_defined_symbols": ["<b>"], **NO_SPACES},
            "has user-defined pieces in a Unigram model",
        ),
    ],
)
def test_what_gguf_cannot_say_exactly_is_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    folder = folder_of(tmp_path, trained(**options))

    with pytest.raises(TokenizerError, match=rf"tokenizer\.model: {message}"):
        tokenizer_metadata(folder, 800)


def test_fewer_rows_than_pieces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="has 700 pieces, but the model has 699 rows"):
        tokenizer_metadata(folder_of(tmp_path, model_of("llama2")), 699)


def test_scores_beside_a_tokenizer_json_are_those_of_the_model(tmp_path: Path) -> None:
    content = model_of("llama2")
    pieces = read_sentencepiece(content, "").pieces
    folder = folder_of(tmp_path, content)
    vocab = {piece.text: i for i, piece in enumerate(pieces)}
    document = {
        "model": {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": True},
        "added_tokens": [],
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")

    found = tokenizer_metadata(folder, 700)

    assert list(found["tokenizer.ggml.scores"]) == [piece.score for piece in pieces]  # type: ignore[call-overload]
