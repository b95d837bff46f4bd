"""Hostile tokenizer files: each is refused by name, quickly, and nothing else happens."""

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.sentencepiece_model import read_sentencepiece
from aboard.checkpoint.sentencepiece_normalizer import SentencePieceNormalizer
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError
from checkpoint.families import split, step, tiny, tiny_folder, write_folder

Change = Callable[[dict[str, Any]], object]
EMBEDDED = "tokenizer.huggingface.json"
METASPACE = "metaspace"  # a shape that is embedded whole


def top(key: str, value: object) -> Change:
    return lambda found: found.__setitem__(key, value)


def model(key: str, value: object) -> Change:
    return lambda found: found["model"].__setitem__(key, value)


def added(key: str, value: object) -> Change:
    return lambda found: found["added_tokens"][-1].__setitem__(key, value)


def replaces(text: str, by: str) -> dict[str, Any]:
    return step("Replace", pattern={"String": text}, content=by)


def nested(depth: int) -> dict[str, Any]:
    found = step("NFC")
    for _ in range(depth):
        found = step("Sequence", normalizers=[found])
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (top("model", None), "model is missing, expected an object"),
        (top("model", [1]), "model is list, expected an object"),
        (model("type", "WordLevel"), "type is 'WordLevel', expected 'BPE', 'WordPiece' or"),
        (model("type", 5), "type is 5, expected a string"),
        (model("vocab", []), "vocab is list, expected an object"),
        (model("vocab", {}), "unk_token is .<unk>., expected a token of vocab"),
        (model("vocab", {"a": 1, "b": 1}), "vocab gives 'a' and 'b' the same id, 1"),
        (model("vocab", {"a": -1}), "vocab gives 'a' the id -1, expected 0 to"),
        (model("vocab", {"a": 1 << 31}), "the id 2147483648, expected 0 to"),
        (model("vocab", {"a": "0"}), "an object of ids"),
        (model("vocab", {"a": [0]}), "an object of ids"),
        (model("vocab", {"a": True}), "an object of ids"),
        (model("merges", {}), "merges is dict, expected a list"),
        (model("merges", ["a"]), r"merges\[0\] is 'a', expected two tokens"),
        (model("merges", [["a", "b", "c"]]), r"merges\[0\] is .* expected two tokens"),
        (model("merges", [["a", "zz"]]), r"merges\[0\] joins 'a' and 'zz'"),
        (model("merges", [["a", 7]]), r"merges\[0\] joins 'a' and '7'"),
        (model("merges", [[["a"], "a"]]), r"merges\[0\] joins"),
        (model("unk_token", "nowhere"), 'unk_token is "nowhere", expected a token of vocab'),
        (model("dropout", 0.1), "dropout is '0.1', and Aboard doesn't know it"),
        (model("continuing_subword_prefix", "##"), "continuing_subword_prefix is '##'"),
        (model("end_of_word_suffix", "</w>"), "end_of_word_suffix is '</w>'"),
        (model("ignore_merges", 1), "ignore_merges is 1, expected true or false"),
        (top("added_tokens", {}), "added_tokens is dict, expected a list of objects"),
        (top("added_tokens", [1]), "added_tokens is list, expected a list of objects"),
        (added("content", None), "content is missing, expected a string"),
        (added("content", "x" * 300), "content has 300 characters, expected at most 256"),
        (added("id", 10**9), "has id 1000000000, but"),
        (added("id", 1.5), "id is 1.5, expected an integer"),
        (added("special", "yes"), 'special is "yes", expected true or false'),
        (top("normalizer", step("Precompiled", precompiled_charsmap="AAAA")), "'Precompiled'"),
        (top("normalizer", nested(20)), "type is 'Sequence', and Aboard doesn't know it"),
        (top("normalizer", {"type": "Sequence", "normalizers": [step("NFC")] * 40}), "'NFC'"),
        (top("normalizer", replaces("", "x")), 'String is "", expected at least one character'),
        (
            top("normalizer", {"type": "Sequence", "normalizers": [replaces("a", "aaaa")] * 5}),
            "may make a text 1024 times as long",
        ),
        (top("normalizer", step("Prepend", prepend="x" * 99)), "at most 8 characters"),
        (top("pre_tokenizer", split("(a|aa)+c")), r"Regex '\(a\|aa\)\+c' isn't run"),
        (top("pre_tokenizer", split("(")), "isn't run"),
        (top("pre_tokenizer", split("a", behavior="Sideways")), 'behavior is "Sideways"'),
        (top("pre_tokenizer", step("Split", pattern={"Regex": 5})), "Regex is 5"),
        (top("pre_tokenizer", step("Split", pattern={})), "expected an object with String or"),
        (top("pre_tokenizer", step("Sentences")), "type is 'Sentences'"),
        (top("pre_tokenizer", step("Metaspace", replacement="x")), 'replacement is "x"'),
        (top("pre_tokenizer", {"type": "Sequence", "pretokenizers": [5]}), "a list of objects"),
        (top("decoder", None), "decoder is missing, and Aboard doesn't know it"),
        (top("decoder", step("WordPiece")), "type is 'WordPiece'"),
        (top("decoder", step("Strip", content=" ", start=9, stop=0)), "expected one space"),
        (top("post_processor", step("TemplateProcessing", single=[])), "expected at most one"),
        (
            top(
                "post_processor",
                step("TemplateProcessing", single=[{"SpecialToken": {"id": "q"}}]),
            ),
            "q is missing, expected an object with one id",
        ),
        (
            top("post_processor", step("BertProcessing")),
            "cls is missing, expected a token and its id",
        ),
    ],
)
@pytest.mark.parametrize("shape", ["llama2", METASPACE])
def test_a_hostile_tokenizer_json_is_refused(
    change: Change, message: str, shape: str, tmp_path: Path
) -> None:
    document = tiny(shape)
    change(document)

    with pytest.raises(TokenizerError, match=message):
        tokenizer_metadata(write_folder(tmp_path, document), 2000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"\xff", "is not UTF-8 text, at byte 0"),
        (b'{"model": {}, "model": {}}', "the key 'model' stands there twice"),
        (b'{"model": {"vocab": {"a": 0, "a": 1}}}', "the key 'a' stands there twice"),
        (b"[" * 100_000, "nests values too deeply"),
        (b"[1]", "holds list, expected an object"),
        (b'{"model": NaN}', "holds NaN, which is no JSON"),
        (b'{"a": "\\ud800"}', "holds half a surrogate pair"),
        (
            b'{"a": ' + b"9" * 5000 + b"}",
            r"json: holds a number of 5000 digits, expected at most",
        ),
        (b'{"a": [' + b"[]," * 2_000_000 + b"[]]}", r"has more than 1500000 of \["),
        (b'{"a": ' + b"{" * 600_000, r"has more than 500000 of \{"),
    ],
)
def test_what_is_no_json_of_a_tokenizer_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)

    with pytest.raises(TokenizerError, match=message):
        tokenizer_metadata(tmp_path, 10)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate((128 << 20) + 1)

    with pytest.raises(TokenizerError, match="reads at most 134217728 of such a file"):
        tokenizer_metadata(tmp_path, 10)


def test_a_folder_in_the_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()

    with pytest.raises(TokenizerError, match=r"tokenizer\.json: is not an ordinary file"):
        tokenizer_metadata(tmp_path, 10)


def embedded(tmp_path: Path) -> dict[str, Any]:
    return tokenizer_metadata(tiny_folder(tmp_path, METASPACE), 2000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["tokenizer.ggml.tokens"].__setitem__(300, "other"), "has token 300"),
        (lambda found: found["tokenizer.ggml.token_type"].__setitem__(1, 1), "as a special token"),
        (lambda found: found["tokenizer.ggml.token_type"].__setitem__(1999, 1), "no token 1999"),
        (
            lambda found: found.update(
                {
                    "tokenizer.ggml.tokens": found["tokenizer.ggml.tokens"][:500],
                    "tokenizer.ggml.token_type": found["tokenizer.ggml.token_type"][:500],
                    "tokenizer.ggml.scores": found["tokenizer.ggml.scores"][:500],
                }
            ),
            "tokens beyond the 500 of tokenizer.ggml",
        ),
        (lambda found: found.__setitem__(EMBEDDED, 7), "is int, expected a string"),
        (lambda found: found.__setitem__(EMBEDDED, ""), "is no JSON"),
        (lambda found: found.__setitem__(EMBEDDED, "\ud800"), "half a surrogate pair"),
        (lambda found: found.__setitem__(EMBEDDED, "{}"), "model is missing"),
        (
            lambda found: found.__setitem__(
                EMBEDDED, found[EMBEDDED].replace('"<0x41>"', '"<0x4G>"')
            ),
            "has token",
        ),
    ],
)
def test_an_embedded_file_that_says_otherwise_is_refused(
    change: Change, message: str, tmp_path: Path
) -> None:
    found = embedded(tmp_path)
    change(found)

    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf(found)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("aboard.tokenizer.spaces", "sideways", "is 'sideways', expected one of prepend"),
        ("aboard.tokenizer.spaces", 5, "is int, expected a string"),
        ("aboard.tokenizer.strips_right", "x", "is no array of ids"),
        ("aboard.tokenizer.strips_right", [[1]], "is no array of ids"),
        ("aboard.tokenizer.strips_right", [1.5], "is no array of ids"),
        ("aboard.tokenizer.strips_right", [-1], "holds ids up to -1"),
        ("aboard.tokenizer.strips_right", [10**6], "holds ids up to 1000000"),
        ("aboard.tokenizer.strips_right", [400], "names a token that isn't special"),
        ("tokenizer.ggml.merges", ["a a a"], r"merges\[0\]"),
        ("tokenizer.ggml.merges", ["a zz"], "which gives no token of plain text"),
        ("tokenizer.ggml.merges", None, "merges is missing"),
    ],
)
def test_keys_of_ours_are_not_trusted_either(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    found = tokenizer_metadata(tiny_folder(tmp_path, "llama2"), 2000)
    found[key] = value

    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf({name: each for name, each in found.items() if each is not None})


def field(number: int, wire: int, value: bytes) -> bytes:
    return bytes([number << 3 | wire]) + value


def message(number: int, content: bytes) -> bytes:
    return field(number, 2, bytes([len(content)]) + content)


PIECES = b"".join(
    message(1, message(1, text) + field(2, 5, struct.pack("<f", -1.0)) + field(3, 0, kind))
    for text, kind in ((b"<unk>", b"\2"), (b"<s>", b"\3"), (b"</s>", b"\3"), (b"a", b"\1"))
)
BPE = message(2, field(3, 0, b"\2"))
SOUND = PIECES + BPE


def test_the_hand_made_model_is_sound() -> None:
    assert len(read_sentencepiece(SOUND, "x").pieces) == 4


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_model_that_is_cut_short_is_refused_or_has_fewer_pieces(length: int) -> None:
    with pytest.raises(TokenizerError, match=r"^x: "):
        read_sentencepiece(SOUND[:length], "x")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "is cut short"),
        (b"\x0a" + b"\xff" * 20, "is cut short"),
        (b"\x0b", "begins no field"),
        (field(1, 0, b"\1"), "a number stands where bytes belong"),
        (message(1, message(1, b"")), "piece 0 has 0 bytes"),
        (message(1, message(1, b"\xff")), "piece 0 is no UTF-8"),
        (message(1, message(1, b"a") + field(3, 0, b"\x09")), "piece 0 is of kind 9"),
        (message(1, message(1, b"a") + field(2, 0, b"\1")), "score that is no number"),
        (
            message(1, message(1, b"a") + field(2, 5, struct.pack("<f", np.nan))),
            "score that is no number",
        ),
        (PIECES + message(1, message(1, b"b") + field(3, 0, b"\5")) + BPE, "has unused pieces"),
        (PIECES + message(1, message(1, b"a")) + BPE, "pieces 3 and 4 are both 'a'"),
        (message(1, message(1, b"a")) + BPE, "the unknown pieces are none, expected 0 alone"),
        (SOUND + message(2, b"\xc0\x02\x01"), "the unknown pieces are 0, expected 1 alone"),
        (PIECES, "ends behind 4 pieces"),
        (PIECES + message(2, field(3, 2, b"\1x")), "field 3 is no integer"),
        (PIECES + message(2, field(3, 0, b"\7")), "is a 7 model"),
        (SOUND + message(3, field(5, 0, b"\0")), "has escape_whitespaces = false"),
        (BPE, "has no pieces"),
    ],
)
def test_a_hostile_model_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(TokenizerError, match=text):
        read_sentencepiece(content, "x")


@pytest.mark.parametrize(
    ("charsmap", "text"),
    [
        (b"\1", "is cut short"),
        (struct.pack("<I", 400) + b"abcd\0", "is cut short"),
        (struct.pack("<I", 3) + b"abc\0", "is cut short"),
        (struct.pack("<II", 4, 0) + b"no end", "is cut short"),
        (struct.pack("<II", 4, 0) + b"x" * 300 + b"\0", "a replacement of 300 bytes"),
    ],
)
def test_a_damaged_table_of_characters_is_refused(charsmap: bytes, text: str) -> None:
    with pytest.raises(TokenizerError, match=text):
        SentencePieceNormalizer(charsmap, removes_extra_spaces=False)


def test_a_table_that_points_anywhere_is_bounded() -> None:
    choose = np.random.default_rng(1)
    for _ in range(200):
        units = choose.integers(0, 1 << 32, 64, np.uint32).tobytes()
        table = struct.pack("<I", len(units)) + units + b"abc\0de\0"
        normalizer = SentencePieceNormalizer(table, removes_extra_spaces=True)

        text = normalizer.normalize("".join(map(chr, choose.integers(1, 500, 50))))

        assert len(text) <= 200


def test_a_panic_of_the_library_is_an_error_of_ours(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Library

    from aboard.checkpoint.tokenizer_library import _call

    table = base64.b64encode(b"\x04\0\0\0\xff\xff\xff\xff\0").decode()
    document = tiny(METASPACE) | {"normalizer": step("Precompiled", precompiled_charsmap=table[:4])}

    with pytest.raises(TokenizerError, match="the tokenizers library refuses it"):
        _call(Library.from_str, json.dumps(document))
