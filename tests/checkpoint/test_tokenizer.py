"""The tokenizer against transformers, sentencepiece and llama.cpp, and what it promises."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import UsageError
from checkpoint.vocabularies import (
    CONTROL,
    USER_DEFINED,
    byte_level,
    golden,
    metadata,
    sentence_piece,
    tokenizer,
)

TEXTS = golden("texts")
BYTE_LEVEL = golden("byte_level")
SPM = golden("sentence_piece")
CHAT = {"<|im_start|>": CONTROL, "<|im_end|>": CONTROL, "<think>": USER_DEFINED}


def trained(pre: str) -> Tokenizer:
    types = [CONTROL if token in TEXTS["special"] else 1 for token in BYTE_LEVEL["tokens"]]
    fields = {"model": "gpt2", "pre": pre, "merges": BYTE_LEVEL["merges"]}
    return tokenizer(metadata(BYTE_LEVEL["tokens"], types, **fields))


def trained_by_sentencepiece(**fields: object) -> Tokenizer:
    scores = np.array(SPM["scores"], np.float32)
    roles = {"unknown_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    found = metadata(SPM["tokens"], SPM["types"], model="llama", scores=scores, **roles | fields)
    return tokenizer(found)


@pytest.mark.parametrize("pre", BYTE_LEVEL["ids"])
def test_byte_level_ids_are_those_of_transformers(pre: str) -> None:
    ours = trained(pre)

    ids = [ours.encode(text) for text in [*TEXTS["texts"], *TEXTS["marked"]]]

    assert ids == BYTE_LEVEL["ids"][pre]


def test_sentencepiece_ids_are_those_of_sentencepiece() -> None:
    ours = trained_by_sentencepiece()

    assert [ours.encode(text, add_special=False) for text in TEXTS["texts"]] == SPM["ids"]


@pytest.mark.model
def test_the_ids_of_the_demo_model_are_those_of_llama_cpp(demo_model: Path) -> None:
    from aboard.checkpoint.gguf import open_gguf

    with open_gguf(demo_model) as file:
        ours = Tokenizer.from_gguf(file.metadata)

    texts = [*TEXTS["texts"], *TEXTS["marked"]]
    assert [ours.encode(text) for text in texts] == golden("demo")["ids"]


@pytest.mark.parametrize("text", [*TEXTS["texts"], *TEXTS["marked"]])
def test_what_was_encoded_is_decoded_again(text: str) -> None:
    byte_level_bpe, sentencepiece = trained("gpt-2"), trained_by_sentencepiece()

    same = byte_level_bpe.decode(byte_level_bpe.encode(text), skip_special=False)
    spaced = sentencepiece.decode(sentencepiece.encode(text, add_special=False), skip_special=False)

    assert same == text
    assert spaced == text.replace("▁", " ")  # that letter is how SentencePiece writes a space


# What each rule makes of one text: cut by hand from the regular expressions that the families
# publish. A vocabulary where every word is a token shows the cuts as they are.
WORDS = {
    "gpt-2": ["It", "'s", " 12345", " o", "'", "CLOCK", "\n", "\n", "x"],
    "smollm": ["It", "'s", " ", "1", "2", "3", "4", "5", " o", "'", "CLOCK", "\n", "\n", "x"],
    "llama-bpe": ["It", "'s", " ", "123", "45", " o", "'CLOCK", "\n\n", "x"],
    "qwen2": ["It", "'s", " ", "1", "2", "3", "4", "5", " o", "'CLOCK", "\n\n", "x"],
    "tekken": ["It", "'s", " ", "1", "2", "3", "4", "5", " o", "'CLOCK", "\n\n", "x"],
    "gpt-4o": ["It's", " ", "123", "45", " o", "'CLOCK", "\n\n", "x"],
    "deepseek-v3": ["It", "'s", " ", "123", "45", " o", "'CLOCK", "\n\n", "x"],
    "falcon": ["It", "'", "s", " ", "123", "45", " o", "'", "CLOCK", "\n", "\n", "x"],
}


@pytest.mark.parametrize("pre", WORDS)
def test_a_text_is_cut_into_words_as_the_family_does_it(pre: str) -> None:
    from aboard.checkpoint.pretokenizers import build_pre_tokenizer, find_word_rule

    cutter = build_pre_tokenizer(find_word_rule(pre))

    text = "It's 12345 o'CLOCK\n\nx"
    words = [text[begin:end] for _, (begin, end) in cutter.pre_tokenize_str(text)]
    assert words == WORDS[pre]


def test_every_rule_can_be_built_and_cuts_without_loss() -> None:
    from aboard.checkpoint.pretokenizers import WORD_RULES, build_pre_tokenizer

    for name, rule in WORD_RULES.items():
        cut = build_pre_tokenizer(rule).pre_tokenize_str("".join(TEXTS["texts"]))
        assert sum(end - begin for _, (begin, end) in cut) == len("".join(TEXTS["texts"])), name


def test_the_cased_letters_of_one_family_are_cased_letters() -> None:
    import re
    import unicodedata

    from aboard.checkpoint.pretokenizers import _CASED

    found = re.findall(f"[{_CASED}]", "".join(map(chr, range(0x110000))))

    assert len(found) > 1000
    assert {unicodedata.category(letter) for letter in found} <= {"Lu", "Ll", "Lt"}


def test_a_word_that_is_a_token_is_that_token_where_the_family_says_so() -> None:
    tokens = {"abc": 1}  # no merge leads to it

    ids = [
        tokenizer(byte_level(special=tokens) | {"tokenizer.ggml.pre": pre}).encode(
            "abc", add_special=False
        )
        for pre in ("smaug-bpe", "minicpm5")
    ]

    assert ids == [[97, 98, 99], [256]]


def test_control_tokens_are_found_only_on_request_and_user_defined_ones_always() -> None:
    ours = tokenizer(byte_level(special=CHAT))

    assert ours.encode("<|im_end|><think>") == [257, 258]
    assert ours.encode("<|im_end|><think>", parse_special=False) == [*b"<|im_end|>", 258]


def test_the_longest_of_special_tokens_wins_and_near_misses_are_text() -> None:
    special = {"<a": CONTROL, "<a>": CONTROL, "<a><b": CONTROL, "→": CONTROL}
    ours = tokenizer(byte_level(special=special))

    assert ours.encode("<a><b><a><a→<→") == [258, *b">", 257, 256, 259, *b"<", 259]


def test_bos_is_never_doubled() -> None:
    ours = tokenizer(sentence_piece({"▁a": -1.0}, add_bos_token=True, add_eos_token=True))

    assert ours.encode("a") == [1, 259, 2]
    assert ours.encode("<s>a</s>") == [1, 259, 2]
    assert ours.encode("") == [1, 2]
    assert ours.encode("a", add_special=False) == [259]
    assert ours.encode("<s>a", parse_special=False)[:2] == [1, 35 + 0xE2 - 0x20]


def test_llama_3_begins_with_bos_where_the_file_is_silent_and_qwen_does_not() -> None:
    files = [byte_level(special=CHAT, bos_token_id=256) for _ in "ab"]
    files[0]["tokenizer.ggml.pre"] = "llama-bpe"
    files[1]["tokenizer.ggml.pre"] = "qwen2"

    assert [tokenizer(found).encode("a") for found in files] == [[256, 97], [97]]


def test_a_space_goes_before_a_text_and_is_taken_away_again() -> None:
    ours = tokenizer(sentence_piece({"▁": -2.0, "▁a": -1.0, "a": -3.0}))

    assert ours.encode("a", add_special=False) == [260]
    assert ours.encode(" a", add_special=False) == [259, 260]
    assert ours.decode([260, 260]) == "a a"
    assert ours.decode([260], continues=True) == " a"
    assert ours.encode("</s>a", add_special=False) == [2, 260]
    assert ours.decode([2, 260], skip_special=False) == "</s>a"


def test_no_space_goes_before_a_text_where_the_file_says_so() -> None:
    ours = tokenizer(sentence_piece({"▁a": -1.0, "a": -3.0}, add_space_prefix=False))

    assert ours.encode("a a", add_special=False) == [260, 259]
    assert ours.decode([259]) == " a"


def test_user_defined_spaces_are_found_among_spaces() -> None:
    special = {"▁▁▁": USER_DEFINED}
    ours = tokenizer(sentence_piece({"a": -1.0}, special, add_space_prefix=False))

    assert ours.encode("a   a", add_special=False) == [259, 260, 259]
    assert ours.decode([259, 260, 259]) == "a   a"


def test_phi_3_swallows_the_white_space_after_a_special_token() -> None:
    special = {"<|user|>": CONTROL, "<|end|>": CONTROL}
    found = sentence_piece({"▁a": -1.0}, special) | {"general.architecture": "phi3"}

    ours = tokenizer(found)

    assert ours.encode("<|user|>\n a<|end|>\n<|user|>", add_special=False) == [260, 259, 261, 260]


def test_a_character_without_a_token_is_spelled_in_bytes() -> None:
    ours = tokenizer(sentence_piece({}, add_space_prefix=False))

    assert ours.encode("é", add_special=False) == [3 + 0xC3, 3 + 0xA9]
    assert ours.decode([3 + 0xC3, 3 + 0xA9]) == "é"


def test_a_stream_never_splits_a_character() -> None:
    ours = tokenizer(byte_level(special=CHAT))
    ids = [*"né🙂".encode(), 257, *b"\xf0\x9f", 120, *b"\xe2\x82"]
    stream = ours.stream()

    pieces = [stream.push(token_id) for token_id in ids] + [stream.finish()]

    assert pieces == [
        *("n", "", "é", "", "", "", "🙂", ""),
        *("", "", "\ufffdx"),
        *("", "", "\ufffd"),
    ]
    assert "".join(pieces) == ours.decode(ids)


def test_control_tokens_are_left_out_of_an_answer_unless_asked_for() -> None:
    ours = tokenizer(byte_level(special=CHAT))

    assert ours.decode([97, 257, 258]) == "a<think>"
    assert ours.decode([97, 257], skip_special=False) == "a<|im_end|>"
    assert (ours.piece(257), ours.piece(0xC3)) == (b"<|im_end|>", b"\xc3")


def test_an_answer_ends_at_each_token_that_ends_a_turn() -> None:
    special = dict.fromkeys(("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "</tool>", "ends"), CONTROL)
    plain = {"<|endoftext|>": 1}

    ours = tokenizer(byte_level(special=special | plain, eos_token_id=260, eot_token_id=259))

    assert ours.stop_ids == {256, 257, 258, 259, 260}
    assert (ours.eos_id, ours.bos_id, ours.n_vocabulary) == (260, None, 262)


def test_an_html_tag_that_looks_like_an_end_ends_nothing() -> None:
    gemma = tokenizer(byte_level(special={"</s>": USER_DEFINED, "<end_of_turn>": CONTROL}))
    llama = tokenizer(byte_level(special={"</s>": CONTROL}))

    assert (gemma.stop_ids, llama.stop_ids) == ({257}, {256})
    assert gemma.decode([256]) == "</s>"


def test_an_end_of_turn_token_in_a_users_text_is_text_even_where_it_is_user_defined() -> None:
    ours = tokenizer(byte_level(special={"<|im_end|>": USER_DEFINED}))

    assert ours.encode("<|im_end|>", parse_special=False) == [*b"<|im_end|>"]
    assert ours.stop_ids == {256}


@pytest.mark.parametrize("text", ["\ud800", "a\udc80b"])
def test_half_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="half a surrogate pair"):
        tokenizer(byte_level()).encode(text)


@pytest.mark.parametrize("token_id", [-1, 256, 1 << 70])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int) -> None:
    with pytest.raises(UsageError, match="outside the vocabulary of 256 tokens"):
        tokenizer(byte_level()).decode([token_id])


def test_a_byte_without_a_token_is_refused() -> None:
    found = byte_level()
    found["tokenizer.ggml.tokens"][0xA9] = "ordinary"  # type: ignore[index]

    with pytest.raises(UsageError, match="0xA9"):
        tokenizer(found).encode("é")


def test_the_hash_covers_what_decides_the_ids_and_not_how_it_is_stored() -> None:
    found = byte_level(["a b", "b c"], CHAT, bos_token_id=256)
    base = tokenizer(found).sha256
    same = found | {
        "tokenizer.ggml.tokens": tuple(found["tokenizer.ggml.tokens"]),  # type: ignore[arg-type]
        "tokenizer.ggml.token_type": np.array(found["tokenizer.ggml.token_type"], np.uint8),
        "tokenizer.ggml.bos_token_id": np.uint32(256),
        "tokenizer.chat_template": "x",
        "general.name": "x",
        "general.architecture": "llama",
    }
    others = [
        byte_level(["b c", "a b"], CHAT, bos_token_id=256),
        byte_level(["a b", "b c"], CHAT, bos_token_id=257),
        byte_level(["a b", "b c"], CHAT, bos_token_id=256, add_eos_token=False),
        byte_level(["a b", "b c"], CHAT | {"<think>": CONTROL}, bos_token_id=256),
        found | {"tokenizer.ggml.pre": "smollm"},
        found | {"general.architecture": "phi3"},
    ]

    hashes = {tokenizer(other).sha256 for other in others}

    assert tokenizer(same).sha256 == base
    assert base not in hashes
    assert len(hashes) == len(others)


def test_importing_the_tokenizer_does_not_load_the_library() -> None:
    program = (
        "import sys, aboard.checkpoint.tokenizer, aboard.checkpoint.chat_template;"
        "print(sorted({'tokenizers', 'minijinja'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.decode().strip() == "[]"
