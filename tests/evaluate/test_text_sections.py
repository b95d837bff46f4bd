"""What is checked of tokenizers and chat templates: sound ones pass, each fault has its words."""

from pathlib import Path

import numpy as np
import pytest

from aboard.evaluate import Outcome, check
from checkpoint.vocabularies import CONTROL, sentence_piece
from evaluate.speaking import speaking, tokens_metadata, vocabulary
from tiny import CHATML

T = "tokenizer.ggml."
TEMPLATE = "tokenizer.chat_template"


def report_of(path: Path, **changes: object):
    return check(speaking(path / "model.gguf", metadata=changes))


def renamed(old: str, new: str) -> list[str]:
    return [new if token == old else token for token in vocabulary()]


def test_a_token_with_two_ids_is_a_failure(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{T + "tokens": renamed("Ġthe", "Ġand")})

    assert report.named(Outcome.FAIL) == ("tokenizer",)
    assert "has two ids" in report["tokenizer"].found
    assert report["vocabulary"].outcome == Outcome.PASS
    assert report["loading"].outcome == Outcome.SKIP


def test_more_tokens_than_rows_is_a_failure(tmp_path: Path) -> None:
    more = [*vocabulary(), "one", "two"]
    types = np.array([*[1] * (len(more) - 5), 3, 3, 3, 1, 1], np.int32)

    report = report_of(tmp_path, **{T + "tokens": more, T + "token_type": types})

    assert {"architecture", "vocabulary"} <= {*report.named(Outcome.FAIL)}
    assert "459 tokens, the embedding has 457 rows" in report["vocabulary"].found


def test_fewer_tokens_than_rows_is_told(tmp_path: Path) -> None:
    entries = {T + "tokens": list(vocabulary())[:-1], T + "eos_token_id": 454}
    entries[T + "token_type"] = tokens_metadata()[T + "token_type"][:-1]

    report = report_of(tmp_path, **entries)

    assert report["vocabulary"].outcome == Outcome.WARN


def spelled_with(tmp_path: Path, metadata: dict[str, object]):
    entries = dict.fromkeys(tokens_metadata())
    return report_of(tmp_path, **{**entries, **metadata})


def test_sentence_piece_with_bytes_gives_back_every_text(tmp_path: Path) -> None:
    report = spelled_with(tmp_path, sentence_piece({"▁": -1.0, "▁the": -2.0}))

    assert report["round-trip"].outcome == Outcome.PASS
    assert report["special-tokens"].outcome == Outcome.PASS


def test_spaces_taken_together_are_told_and_no_failure(tmp_path: Path) -> None:
    metadata = sentence_piece({"▁": -1.0, "▁the": -2.0})

    report = spelled_with(tmp_path, metadata | {T + "remove_extra_whitespaces": True})

    assert report["round-trip"].outcome == Outcome.WARN
    assert "spaces: " in report["round-trip"].found
    assert "English" not in report["round-trip"].found


def test_sentence_piece_without_bytes_is_told_of_the_scripts_it_lacks(tmp_path: Path) -> None:
    metadata = sentence_piece({chr(code): -1.0 for code in [*range(9, 14), *range(33, 127)]})
    pieces = metadata[T + "tokens"]
    lost = {f"<0x{byte:02X}>" for byte in range(256)}
    kept = [at for at, piece in enumerate(pieces) if piece not in lost]
    metadata[T + "tokens"] = [*(pieces[at] for at in kept), "▁"]
    for name in ("token_type", "scores"):
        values = metadata[T + name]
        metadata[T + name] = np.append(values[kept], values[kept[-1]])

    report = spelled_with(tmp_path, metadata)

    assert report["round-trip"].outcome == Outcome.WARN
    assert "without a token" in report["round-trip"].found


def test_byte_level_without_a_letter_of_plain_text_is_a_failure(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{T + "tokens": renamed("e", "<e>")})

    assert report.named(Outcome.FAIL) == ("round-trip", "template-tokens", "greedy-text")
    for name in report.named(Outcome.FAIL):
        assert "no token for byte 0x65" in report[name].found
    assert report["perplexity"].outcome == Outcome.SKIP


def test_a_family_that_normalises_must_give_back_form_c(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{T + "pre": "qwen2"})

    assert report["round-trip"].outcome == Outcome.PASS
    assert "normal form C" in report["round-trip"].expected


def test_a_special_token_that_no_text_becomes_is_told(tmp_path: Path) -> None:
    metadata = sentence_piece({"▁": -1.0}, {"<two words>": CONTROL})

    report = spelled_with(tmp_path, metadata)

    assert report["special-tokens"].outcome == Outcome.WARN
    assert "'<two words>'" in report["special-tokens"].found


def test_an_end_of_text_that_is_plain_text_is_told(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{T + "eos_token_id": 97})

    assert report["special-tokens"].outcome == Outcome.WARN
    assert "EOS is 'a' (97), a token of plain text" in report["special-tokens"].found


def test_no_token_that_ends_an_answer_is_told(tmp_path: Path) -> None:
    ordinary = np.ones(len(vocabulary()), np.int32)

    report = report_of(tmp_path, **{T + "token_type": ordinary, T + "eos_token_id": None})

    assert "no token ends an answer" in report["special-tokens"].found


def test_a_turn_that_ends_with_no_stop_token_is_a_failure(tmp_path: Path) -> None:
    report = report_of(
        tmp_path,
        **{
            T + "tokens": renamed("<|im_end|>", "<|stop|>"),
            T + "eos_token_id": len(vocabulary()) - 3,
            TEMPLATE: CHATML.replace("<|im_end|>", "<|stop|>"),
        },
    )

    assert report.named(Outcome.FAIL) == ("end-of-turn",)
    assert "'<|stop|>' (456) closes an answer, what ends one" in report["end-of-turn"].found
    assert "<|endoftext|>" in report["end-of-turn"].found


UNCLOSED = CHATML.replace("<|im_end|>", "")


def test_a_turn_that_ends_where_the_next_begins_is_told(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{TEMPLATE: UNCLOSED})

    assert report["end-of-turn"].outcome == Outcome.WARN
    assert "nothing closes an answer, then comes '<|im_start|>'" in report["end-of-turn"].found


def test_the_next_turn_may_end_an_answer(tmp_path: Path) -> None:
    start_id = vocabulary().index("<|im_start|>")

    report = report_of(tmp_path, **{TEMPLATE: UNCLOSED, T + "eot_token_id": start_id})

    assert report["end-of-turn"].outcome == Outcome.PASS


def test_turns_without_special_tokens_are_told(tmp_path: Path) -> None:
    plain = UNCLOSED.replace("<|im_start|>", "### ")

    report = report_of(tmp_path, **{TEMPLATE: plain})

    assert report["end-of-turn"].outcome == Outcome.WARN
    assert "no special token stands after an answer" in report["end-of-turn"].found


def test_all_of_a_template_that_writes_the_date_is_checked(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{TEMPLATE: "{{ strftime_now('%Y') }}" + CHATML})

    assert report["chat-template"].outcome == Outcome.WARN
    assert report["end-of-turn"].outcome == Outcome.PASS


def test_a_marker_that_is_no_token_is_told(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{TEMPLATE: CHATML.replace("<|im_start|>", "<|turn|>")})

    assert report["template-tokens"].outcome == Outcome.WARN
    assert report["template-tokens"].found == "'<|turn|>' is split up as plain text"


BOS = "<|endoftext|>"
BEGINNINGS = {
    "none": (CHATML, Outcome.WARN, "don't"),
    "one": (BOS + CHATML, Outcome.PASS, "once"),
    "two": (BOS + BOS + CHATML, Outcome.WARN, "twice"),
}


@pytest.mark.parametrize(("template", "outcome", "word"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_conversations_begin_as_texts_do(
    tmp_path: Path, template: str, outcome: Outcome, word: str
) -> None:
    report = report_of(tmp_path, **{TEMPLATE: template, T + "add_bos_token": True})

    assert report["begin-of-text"].outcome == outcome
    assert word in report["begin-of-text"].found


TEMPLATES = {
    "loops": ("{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
              Outcome.FAIL, "limit"),
    "is faulty": ("{% for %}", Outcome.FAIL, "nothing to loop over"),
    "loses the question": ("<|im_start|>{{ bos_token }}", Outcome.FAIL, "left out"),
    "refuses everything": ("{{ raise_exception('Not today.') }}", Outcome.FAIL, "Not today."),
    "opens no turn": (CHATML.partition("{% if add")[0], Outcome.WARN, "doesn't open"),
    "opens each turn after a question": (
        "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}<|im_start|>{% else %}"
        "<|im_end|>{% endif %}{% endfor %}",
        Outcome.PASS, "written"),
    "writes today's date": (
        CHATML + "{{ strftime_now('%d') }}", Outcome.WARN, "strftime_now"),
    "refuses system turns": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('No.') }}{% endif %}" + CHATML,
        Outcome.PASS, "takes no system turn"),
    "forgets system turns": (
        CHATML.replace(" %}{{ '<|im", " %}{% if message.role != 'system' %}{{ '<|im", 1)
        .replace("{% endfor", "{% endif %}{% endfor", 1),
        Outcome.PASS, "leaves the system turn out"),
}  # fmt: skip


@pytest.mark.parametrize(("template", "outcome", "words"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_that(tmp_path: Path, template: str, outcome: Outcome, words: str) -> None:
    report = report_of(tmp_path, **{TEMPLATE: template})

    assert report["chat-template"].outcome == outcome
    assert words in report["chat-template"].found


TOOLS = {
    "writes tools": ("{{ tools | tojson if tools }}" + CHATML, Outcome.PASS, "is written"),
    "drops tools": ("{% if tools %}tools!{% endif %}" + CHATML, Outcome.WARN, "left out"),
    "fails on tools": ("{{ tools[0].a.b.c if tools }}" + CHATML, Outcome.WARN, "failed"),
    "knows no tools": (CHATML, Outcome.SKIP, "speak"),
}


@pytest.mark.parametrize(("template", "outcome", "words"), TOOLS.values(), ids=TOOLS)
def test_a_template_that_sees_tools(
    tmp_path: Path, template: str, outcome: Outcome, words: str
) -> None:
    report = report_of(tmp_path, **{TEMPLATE: template})

    assert report["tools"].outcome == outcome
    assert words in report["tools"].found


def test_a_file_without_a_template_is_sound(tmp_path: Path) -> None:
    report = report_of(tmp_path, **{TEMPLATE: None})

    assert report.sound
    assert report["chat-template"].outcome == report["end-of-turn"].outcome == Outcome.SKIP
