"""tekken.json of Mistral, against merging by ranks written out plainly."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers.pre_tokenizers import Split

from aboard.checkpoint.huggingface_tokenizer import tokenizer_metadata
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import TokenizerError
from checkpoint.families import corpus
from checkpoint.random_texts import random_texts
from checkpoint.vocabularies import golden

PATTERN = (  # as the published files have it
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
N_SPECIAL = 24
WORDS = Split(tokenizers.Regex(PATTERN), "isolated")
TEXTS = [*golden("texts")["texts"], *random_texts(300, seed=6)]
# Ranks that no training gives: longer tokens before the shorter ones they are made of, tokens of
# two makings, and one that nothing makes.
ODD = ["aaa", "ab", "aa", "bab", "aab", "abab", "aaaa", "xyz", "yz", "  ", "    ", "   "]


def tekken(tokens: list[bytes], **changes: Any) -> dict[str, Any]:
    config = {
        "pattern": PATTERN,
        "num_vocab_tokens": len(tokens),
        "default_vocab_size": len(tokens) + N_SPECIAL,
        "default_num_special_tokens": N_SPECIAL,
        "version": "v3",
    }
    vocab = [
        {"rank": i, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for i, token in enumerate(tokens)
    ]
    return {"config": config | changes.pop("config", {}), "vocab": vocab, **changes}


def all_bytes() -> list[bytes]:
    return [bytes([byte]) for byte in range(256)]


def trained(n: int = 500) -> list[bytes]:
    """Tokens by rank: the pair that is most common in the corpus, over and over."""
    words = [list(word.encode()) for line in corpus() for word in cut(line)]
    sequences = [[bytes([byte]) for byte in word] for word in words]
    tokens = all_bytes()
    while len(tokens) < n:
        counts: dict[bytes, int] = {}
        for parts in sequences:
            for one, other in pairwise(parts):
                counts[one + other] = counts.get(one + other, 0) + 1
        best = max(counts, key=lambda pair: (counts[pair], pair))
        tokens.append(best)
        sequences = [merged(parts, {best: 0}) for parts in sequences]
    return tokens


def cut(text: str) -> list[str]:
    return [word for word, _ in WORDS.pre_tokenize_str(text)]


def merged(parts: list[bytes], ranks: dict[bytes, int]) -> list[bytes]:
    """Neighbours of the lowest rank become one, the leftmost first, until there are none."""
    while True:
        pairs = [
            (ranks[one + other], i)
            for i, (one, other) in enumerate(pairwise(parts))
            if one + other in ranks
        ]
        if not pairs:
            return parts
        i = min(pairs)[1]
        parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


def plainly(text: str, tokens: list[bytes]) -> list[int]:
    ranks = {token: i for i, token in enumerate(tokens)}
    ids = []
    for word in cut(text):
        octets = word.encode()
        whole = [octets] if octets in ranks else None
        ids += [ranks[part] for part in whole or merged([bytes([b]) for b in octets], ranks)]
    return [N_SPECIAL + token_id for token_id in ids]


def folder_of(folder: Path, document: object, **config: object) -> Path:
    (folder / "tekken.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("tokens", [trained(), [*all_bytes(), *(t.encode() for t in ODD)]])
def test_ids_are_those_of_merging_by_rank(tokens: list[bytes], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, tekken(tokens))

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder, len(tokens) + N_SPECIAL))

    for text in [*TEXTS, "abyxz a", *("ab" * n + "a" * n for n in range(12)), "aabab" * 5, "xyzyz"]:
        ids = ours.encode(text, add_special=False, parse_special=False)
        assert ids == plainly(text, tokens), text
        assert ours.decode(ids) == text


def test_special_tokens_come_first_and_roles_are_the_files_own(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, tekken(all_bytes()))

    found = tokenizer_metadata(folder, 256 + N_SPECIAL)

    tokens: list[str] = found["tokenizer.ggml.tokens"]  # type: ignore[assignment]
    assert tokens[:4] == ["<unk>", "<s>", "</s>", "[INST]"]
    assert tokens[19:25] == ["[TOOL_CONTENT]", *(f"<SPECIAL_{i}>" for i in range(20, 24)), "Ā"]
    ours = Tokenizer.from_gguf(found)
    assert (found["tokenizer.ggml.pre"], ours.bos_id, ours.eos_id) == ("tekken", 1, 2)
    assert ours.encode("[INST]a</s>") == [1, 3, N_SPECIAL + ord("a"), 2]
    assert 2 in ours.stop_ids


def test_later_versions_list_their_special_tokens(tmp_path: Path) -> None:
    names = ["<unk>", "<s>", "</s>", "[THINK]"]
    special = [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(names)]
    document = tekken(all_bytes(), special_tokens=special, config={"version": "v13"})

    found = tokenizer_metadata(folder_of(tmp_path, document), 256 + N_SPECIAL)

    assert found["tokenizer.ggml.tokens"][:5] == [*names, "<SPECIAL_4>"]  # type: ignore[index]


def test_tokens_beyond_the_size_are_left_out(tmp_path: Path) -> None:
    document = tekken([*all_bytes(), b"ab", b"abc"], config={"default_vocab_size": 257 + N_SPECIAL})

    ours = Tokenizer.from_gguf(tokenizer_metadata(folder_of(tmp_path, document), 281))

    assert ours.encode("abc", add_special=False) == [N_SPECIAL + 256, N_SPECIAL + ord("c")]


TWO = [{"rank": 0, "token_str": "<s>"}, {"rank": 1, "token_str": "<s>"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": None}, "config is missing, expected an object"),
        (
            {"config": {"pattern": "a+"}},
            "pattern is 'a\\+', and Aboard knows",
        ),
        ({"config": {"pattern": 5}}, "pattern is 5, expected a string"),
        ({"config": {"default_num_special_tokens": 1 << 20}}, "expected at most 65536"),
        ({"config": {"default_num_special_tokens": 3}}, "expected at least the 20 listed"),
        ({"config": {"default_vocab_size": 1 << 30}}, "vocab has 258 tokens, and 1073741800 are"),
        ({"config": {"default_vocab_size": 5}}, "vocab has 258 tokens, and -19 are wanted"),
        ({"config": {"version": "v13"}}, "has no special_tokens, which version 'v13' must list"),
        ({"vocab": None}, "vocab has 0 tokens"),
        ({"special_tokens": [{"rank": 1, "token_str": "<s>"}]}, "rank is 1, expected 0, its place"),
        ({"special_tokens": [{"rank": 0, "token_str": "x"}]}, "has no special token '<s>'"),
        ({"special_tokens": TWO}, "a special token stands there twice"),
        ({"special_tokens": "no"}, "expected a list of objects"),
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    document = tekken([*all_bytes(), b"ab", b"ba"])
    config = change.get("config", {})
    document |= change
    document["config"] = None if config is None else tekken([b""] * 258)["config"]
    if config:
        document["config"] |= config

    with pytest.raises(TokenizerError, match=r"tekken\.json.*" + message):
        tokenizer_metadata(folder_of(tmp_path, document), 1000)


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {},
        {"rank": 256},
        {"rank": True, "token_bytes": "YWI="},
        {"rank": 257, "token_bytes": "YWI="},
        {"rank": 256, "token_bytes": ""},
        {"rank": 256, "token_bytes": "YQ=="},
        {"rank": 256, "token_bytes": "@@@@"},
        {"rank": 256, "token_bytes": "YW"},
        {"rank": 256, "token_bytes": "é"},
        {"rank": 256, "token_bytes": base64.b64encode(b"a" * 1025).decode()},
        {"rank": 256, "token_bytes": "A" * 10_000},
    ],
)
def test_a_damaged_entry_is_refused(entry: object, tmp_path: Path) -> None:
    document = tekken([*all_bytes(), b"ab"])
    document["vocab"][256] = entry

    with pytest.raises(TokenizerError, match=r"tekken\.json: vocab\[256\] is .*, expected an obj"):
        tokenizer_metadata(folder_of(tmp_path, document), 1000)


def test_a_text_that_is_a_special_token_too_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, tekken([*all_bytes(), b"<s>"]))

    with pytest.raises(TokenizerError, match="'<s>' is a special token and an ordinary one"):
        tokenizer_metadata(folder, 1000)
