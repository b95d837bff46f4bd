"""WordPiece against the `tokenizers` library: folders, vocab.txt, GGUF as llama.cpp writes it."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import tokenizers
from tokenizers import AddedToken, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.checkpoint.tokenizer_metadata import read_tokenizer_metadata
from aboard.checkpoint.tokenizer_wordpiece import PART_CHARS, WordPieceEncoder
from aboard.errors import TokenizerError
from checkpoint.random_texts import random_texts
from tiny_encoders import PIECES, SPECIAL, bert_folder

TEXTS = [
    "The sea, until THEN.",
    "",
    " \t\n",
    "naïve Übergröße İstanbul ǅ",
    "中文 and 日本語ですhangul 한국어",
    "[CLS] the [MASK] [SEP][SEP] [cls] [ MASK ]",
    "[MASK]boat[MASK]",
    "a" * 100,
    "a" * 101,
    "e\u0301 é \u200d\ufeff \x00\x01 \ufffd",
    "$5 + 3 = 8 ^ ` ~ | < >",
    "##ing ## # the##re",
]


def library(*, lowercase: bool = True, strip_accents: bool | None = None) -> tokenizers.Tokenizer:
    """BERT's tokenizer over `PIECES`."""
    ids = {piece: i for i, piece in enumerate(PIECES)}
    made = tokenizers.Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(text, ids[text]) for text in ("[CLS]", "[SEP]")],
    )
    return made


def folder_of(made: tokenizers.Tokenizer, folder: Path, **config: object) -> Path:
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    roles = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**roles, **config}))
    return folder


def imported(folder: Path) -> dict[str, object]:
    return tokenizer_metadata(folder, len(PIECES))


def texts() -> list[str]:
    return [*TEXTS, *random_texts(2000, seed=11, special=SPECIAL)]


@pytest.mark.parametrize(
    ("lowercase", "strip_accents"),
    [(True, None), (False, None), (True, False), (False, True)],
)
def test_ids_are_those_of_the_library(
    lowercase: bool, strip_accents: bool | None, tmp_path: Path
) -> None:
    theirs = library(lowercase=lowercase, strip_accents=strip_accents)

    ours = Tokenizer.from_gguf(imported(folder_of(theirs, tmp_path / "t")))

    for text in texts():
        assert ours.encode(text) == theirs.encode(text).ids, text


def test_a_long_text_is_encoded_in_parts_to_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = imported(folder_of(library(), tmp_path / "model"))
    encoder = WordPieceEncoder(read_tokenizer_metadata(metadata), metadata)
    long = " ".join([*texts(), "a" * 40_000, "x", " " * 40_000, *TEXTS])
    whole, lengths = encoder._library, []

    class Watched:
        def encode(self, text: str, **options: object) -> object:
            lengths.append(len(text))
            return whole.encode(text, **options)

    monkeypatch.setattr(encoder, "_library", Watched())
    ids = encoder.encode(long, at_start=True)

    assert ids == whole.encode(long, add_special_tokens=False).ids
    assert sum(lengths) == len(long)
    assert sorted(lengths)[-2] <= PART_CHARS < 40_000 <= max(lengths)


def test_vocab_txt_is_the_same_tokenizer(tmp_path: Path) -> None:
    theirs = library()

    ours = Tokenizer.from_gguf(imported(bert_folder(tmp_path / "tiny")))

    for text in texts():
        assert ours.encode(text) == theirs.encode(text).ids, text


def test_text_that_is_not_trusted_spells_no_control_token(tmp_path: Path) -> None:
    ours = Tokenizer.from_gguf(imported(bert_folder(tmp_path / "tiny")))
    special = set(range(len(SPECIAL))) - {SPECIAL.index("[UNK]")}

    for text in texts():
        ids = ours.encode(text, add_special=False, parse_special=False)
        assert not special & set(ids), text


def test_decoding_gives_words_with_spaces(tmp_path: Path) -> None:
    ours = Tokenizer.from_gguf(imported(bert_folder(tmp_path / "tiny")))

    assert ours.decode(ours.encode("Until the boat, there")) == "until the boat , there"


def test_the_vocabulary_is_that_of_llama_cpp(tmp_path: Path) -> None:
    entries = imported(bert_folder(tmp_path / "tiny"))

    tokens, types = entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"]

    assert isinstance(tokens, list)
    assert tokens[: len(SPECIAL)] == list(SPECIAL)
    assert tokens[PIECES.index("the")] == "▁the"
    assert tokens[PIECES.index("##ing")] == "ing"
    assert list(types)[:6] == [gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL]
    assert entries["tokenizer.ggml.seperator_token_id"] == SPECIAL.index("[SEP]")


def test_a_file_of_llama_cpp_needs_no_keys_of_ours(tmp_path: Path) -> None:
    theirs = library()
    entries = imported(bert_folder(tmp_path / "tiny"))
    kept = ("model", "tokens", "token_type", "unknown_token_id", "seperator_token_id")

    ours = Tokenizer.from_gguf(
        {f"tokenizer.ggml.{key}": entries[f"tokenizer.ggml.{key}"] for key in kept}
    )

    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text).ids, text


def test_rows_beyond_the_vocabulary_are_unused_tokens(tmp_path: Path) -> None:
    entries = tokenizer_metadata(bert_folder(tmp_path / "tiny"), len(PIECES) + 3)

    tokens = entries["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    assert tokens[-1] == f"▁[PAD{len(PIECES) + 2}]"
    assert Tokenizer.from_gguf(entries).n_vocabulary == len(PIECES) + 3


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("normalizer", {"type": "Lowercase"}, "normalizer is 'Lowercase'"),
        ("normalizer", {"type": "BertNormalizer", "clean_text": False}, "clean_text"),
        ("normalizer", {"type": "BertNormalizer", "handle_chinese_chars": False}, "chinese"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer is 'Whitespace'"),
        ("post_processor", {"type": "BertProcessing", "cls": ["[CLS]"], "sep": 5}, "cls"),
    ],
)
def test_another_step_is_refused(
    part: str, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = folder_of(library(), tmp_path / "t")
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), part: change}))

    with pytest.raises(TokenizerError, match=message):
        imported(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_input_chars_per_word", 50),
        ("continuing_subword_prefix", "@@"),
        ("unk_token", 5),
    ],
)
def test_another_model_is_refused(key: str, value: object, tmp_path: Path) -> None:
    folder = folder_of(library(), tmp_path / "t")
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    document["model"][key] = value
    path.write_text(json.dumps(document))

    with pytest.raises(TokenizerError, match=key):
        imported(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"never_split": ["the"]},
        {"do_basic_tokenize": False},
    ],
    ids=str,
)
def test_files_that_disagree_are_refused(config: dict[str, object], tmp_path: Path) -> None:
    folder = folder_of(library(), tmp_path / "t", **config)

    with pytest.raises(TokenizerError, match=next(iter(config))):
        imported(folder)


def test_an_added_token_that_gguf_can_not_hold_is_refused(tmp_path: Path) -> None:
    theirs = library()
    theirs.add_tokens(["sealand"])

    with pytest.raises(TokenizerError, match="sealand"):
        tokenizer_metadata(folder_of(theirs, tmp_path / "t"), len(PIECES) + 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a\nb\na\n", "twice"), ("a\nb\n", r"has no \[CLS\]"), ("\udcff", "no UTF-8")],
)
def test_a_vocab_txt_that_is_none_is_refused(content: str, message: str, tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    (folder / "vocab.txt").write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(TokenizerError, match=message):
        imported(folder)


def test_vocab_txt_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "tiny")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertJapaneseTokenizer"}')

    with pytest.raises(TokenizerError, match="BertJapaneseTokenizer"):
        imported(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seperator_token_id", 10_000, "vocabulary"),
        ("remove_extra_whitespaces", True, "doesn't know what it does"),
        ("normalizer.lowercase", 1, "boolean"),
        ("token_type", np.full(len(PIECES), 4, np.int32), "user-defined"),
    ],
)
def test_a_contradictory_file_is_refused(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    entries = imported(bert_folder(tmp_path / "tiny"))

    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf({**entries, f"tokenizer.ggml.{key}": value})


def test_a_control_token_that_words_could_spell_is_refused(tmp_path: Path) -> None:
    entries = imported(bert_folder(tmp_path / "tiny"))
    types = np.array(entries["tokenizer.ggml.token_type"])
    types[PIECES.index("the")] = gguf.TokenType.CONTROL

    with pytest.raises(TokenizerError, match="punctuation"):
        Tokenizer.from_gguf({**entries, "tokenizer.ggml.token_type": types})
