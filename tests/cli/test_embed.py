"""`aboard embed`: lines of numbers, JSON, texts from a file, and checks of encoders."""

import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.engine.info import describe
from aboard.evaluate import CHECKS, Outcome, check
from tiny_encoders import TinyBert, bert_folder

TEXTS = ["the sea", "until then"]


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    import_checkpoint(bert_folder(tmp_path / "tiny", TinyBert()), tmp_path / "tiny.gguf")
    return str(tmp_path / "tiny.gguf")


def numbers(text: str) -> np.ndarray:
    return np.array([line.split() for line in text.splitlines()], np.float32)


def test_a_line_of_numbers_for_each_text(call, encoder: str) -> None:
    wanted = aboard.load(encoder).embed(TEXTS)

    outcome = call("embed", encoder, *TEXTS)

    assert outcome.exit_code == 0
    assert numbers(outcome.stdout).tobytes() == wanted.tobytes()


def test_json_has_the_same_vectors(call, encoder: str) -> None:
    outcome = call("embed", encoder, "--json", "--no-normalize", *TEXTS)

    found = json.loads(outcome.stdout)
    wanted = aboard.load(encoder).embed(TEXTS, normalize=False)
    assert found["model"] == encoder
    assert found["weights_sha256"] == aboard.load(encoder).weights_sha256
    assert np.array(found["embeddings"], np.float32).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("name", ["texts.txt", "-"])
def test_texts_come_from_lines(name: str, call, encoder: str, tmp_path: Path) -> None:
    content = "the sea\r\n\nuntil then\n"
    (tmp_path / "texts.txt").write_bytes(content.encode())

    outcome = call("embed", encoder, "--file", name, stdin=content.encode())

    wanted = aboard.load(encoder).embed(["the sea", "", "until then"])
    assert numbers(outcome.stdout).tobytes() == wanted.tobytes()


def test_too_long_is_refused_or_cut(call, encoder: str) -> None:
    long = "a " * 300

    refused, cut = call("embed", encoder, long), call("embed", encoder, "--truncate", long)

    assert refused.exit_code == 1
    assert "302 tokens, the context holds 160" in refused.stderr
    assert cut.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give texts, or --file"),
        (["--file", "texts.txt", "the sea"], "not both"),
        (["--file", "missing.txt"], "can't be read"),
        (["--file", "latin.txt"], "is not UTF-8 at byte 1"),
    ],
)
def test_what_is_no_text_is_refused(
    arguments: list[str], message: str, call, encoder: str, tmp_path: Path
) -> None:
    (tmp_path / "latin.txt").write_bytes(b"a\xff")

    outcome = call("embed", encoder, *arguments)

    assert outcome.exit_code == 2
    assert message in outcome.stderr


def test_run_says_that_an_encoder_makes_no_text(call, encoder: str) -> None:
    outcome = call("run", encoder, "the sea")

    assert outcome.exit_code == 2
    assert "is an encoder" in outcome.stderr
    assert "embed" in outcome.stderr


def test_check_skips_what_does_not_apply_to_encoders(encoder: str) -> None:
    report = check(encoder)

    told = "an encoder makes no text"
    skipped = {each.name for each in report.findings if each.found == told}
    assert report.sound
    assert [each.name for each in report.findings] == list(CHECKS)
    assert skipped == {"greedy-text", "perplexity", "word-order", "copying", "code"}
    assert report["round-trip"].outcome == Outcome.SKIP
    assert report["loading"].outcome == Outcome.PASS


def test_info_claims_no_memory_for_keys(encoder: str) -> None:
    found = describe(encoder)

    assert found.kv_bytes_per_token is None
    assert (found.architecture, found.context_length, found.tokenizer) == ("bert", 160, "bert")
