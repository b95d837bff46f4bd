"""Metadata that is unknown or contradicts itself is refused, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aboard.errors import TokenizerError
from checkpoint.vocabularies import CONTROL, byte_level, sentence_piece, tokenizer

Found = dict[str, Any]
BPE = lambda: byte_level(["a b", "ab c"], {"<s>": CONTROL})  # noqa: E731
SPM = lambda: sentence_piece({"▁a": -1.0})  # noqa: E731


def key(name: str, value: object) -> Callable[[Found], object]:
    return lambda found: found.__setitem__(f"tokenizer.ggml.{name}", value)


def without(name: str) -> Callable[[Found], object]:
    return lambda found: found.pop(f"tokenizer.ggml.{name}")


def changed(name: str, index: int, value: object) -> Callable[[Found], object]:
    return lambda found: found[f"tokenizer.ggml.{name}"].__setitem__(index, value)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (BPE, without("model"), r"tokenizer\.ggml\.model is missing"),
        (BPE, key("model", "rwkv"), "tokenizer model 'rwkv' is not supported"),
        (BPE, key("model", 7), "model is int, expected a string"),
        (BPE, without("tokens"), "tokens is missing"),
        (BPE, key("tokens", []), "tokens is empty"),
        (BPE, key("tokens", "abc"), "tokens is str, expected an array"),
        (BPE, key("tokens", [b"a", "b"]), "tokens is list, expected an array of strings"),
        (BPE, changed("tokens", 5, "\ud800"), "expected an array of strings in UTF-8"),
        (BPE, changed("tokens", 5, "a"), "token 'a' has two ids, 5 and 97"),
        (BPE, without("token_type"), "token_type is missing"),
        (BPE, key("token_type", np.ones(3, np.int32)), "has 3 entries, but there are 259 tokens"),
        (BPE, key("token_type", [1.5] * 259), "expected a flat array of numbers"),
        (BPE, key("token_type", [[1], [2, 3]]), "expected an array of numbers"),
        (BPE, changed("token_type", 0, 7), "token_type holds 1 to 7, expected 1 to 6"),
        (BPE, changed("token_type", 9, 6), "token 9 is marked as a byte but reads"),
        (BPE, key("bos_token_id", 259), "bos_token_id is 259, but the vocabulary has 259"),
        (BPE, key("eos_token_id", -1), "eos_token_id is -1"),
        (BPE, key("eot_token_id", 1.0), "eot_token_id is float, expected an integer"),
        (BPE, key("add_bos_token", 1), "add_bos_token is int, expected a boolean"),
        (BPE, key("add_bos_token", True), "bos_token_id is missing"),
        (BPE, key("add_eos_token", True), "eos_token_id is missing"),
        (BPE, key("add_space_prefix", True), "add_space_prefix is set for byte-level BPE"),
        (BPE, key("remove_extra_whitespaces", True), "remove_extra_whitespaces is set"),
        (BPE, key("precompiled_charsmap", np.ones(4, np.uint8)), "precompiled_charsmap is set"),
        (BPE, without("pre"), r"tokenizer\.ggml\.pre is missing"),
        (BPE, key("pre", "newer-than-us"), "pre-tokenizer 'newer-than-us' is unknown"),
        (BPE, without("merges"), "merges is missing"),
        (BPE, key("merges", ["ab"]), r"merges\[0\] is 'ab'"),
        (BPE, key("merges", ["a b", "a b c"]), r"merges\[1\] is 'a b c'"),
        (BPE, key("merges", ["a b", " ab"]), r"merges\[1\] is ' ab'"),
        (BPE, key("merges", ["a b", "a b"]), "names a pair twice"),
        (BPE, key("merges", ["a c"]), "joins 'a' and 'c', which gives no token"),
        (BPE, key("merges", ["x" * 99 + " y"]), "which gives no token"),
        (BPE, key("merges", ["< s>"]), "which gives no token of plain text"),
        (BPE, changed("merges", 0, "ab "), r"merges\[0\]"),
        (SPM, without("scores"), "scores is missing"),
        (SPM, changed("scores", 3, np.nan), "scores holds NaN"),
        (SPM, without("bos_token_id"), "bos_token_id is missing"),
        (SPM, key("pre", "smollm"), "pre-tokenizer 'smollm' is unknown for tokenizer model"),
        (SPM, changed("tokens", 4, "<0x-1>"), "token 4 is marked as a byte but reads '<0x-1>'"),
        (SPM, changed("tokens", 2, "s" * 300), "special token 2 has 300 characters"),
    ],
)
def test_it_is_refused(
    make: Callable[[], Found], change: Callable[[Found], object], message: str
) -> None:
    found = make()
    change(found)

    with pytest.raises(TokenizerError, match=message):
        tokenizer(found)


def test_a_merge_of_halves_that_are_no_tokens_is_refused() -> None:
    found = byte_level(special={"xyz": 1})
    found["tokenizer.ggml.merges"] = ["xy z"]

    with pytest.raises(TokenizerError, match="joins 'xy z', of which one half is no token"):
        tokenizer(found)


def test_switches_that_are_off_are_no_reason_to_refuse() -> None:
    off = {"remove_extra_whitespaces": False, "precompiled_charsmap": [], "add_sep_token": False}

    ours = tokenizer(byte_level(**off))

    assert ours.encode("a") == [97]
