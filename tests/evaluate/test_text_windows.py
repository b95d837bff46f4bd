"""Texts as windows: all tokens, in order, whatever the blocks; what is no text is refused."""

import os
from pathlib import Path

import pytest

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import UsageError
from aboard.evaluate import text_windows
from aboard.evaluate.text_windows import FileText, OwnText, windows
from tiny import tokenizer_metadata

BYTES = Tokenizer.from_gguf(tokenizer_metadata())
WITH_BOS = Tokenizer.from_gguf(tokenizer_metadata() | {"tokenizer.ggml.add_bos_token": True})
BOS = 256


@pytest.fixture
def saved(tmp_path: Path):
    def save(content: bytes, name: str = "text.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return save


def test_windows_hold_every_token_once() -> None:
    found = list(windows(OwnText("text", "abcdefghij"), BYTES, 4))

    assert [bytes(each.ids) for each in found] == [b"abcd", b"efgh", b"ij"]
    assert [each.n_scored for each in found] == [3, 3, 1]
    assert [each.n_bytes for each in found] == [3, 3, 1]


def test_a_single_token_left_over_predicts_nothing() -> None:
    assert len(list(windows(OwnText("text", "abcde"), BYTES, 4))) == 1


def test_with_bos_the_first_token_of_a_window_is_scored() -> None:
    found = list(windows(OwnText("text", "abcde"), WITH_BOS, 3))

    assert [each.ids for each in found] == [(BOS, 97, 98), (BOS, 99, 100), (BOS, 101)]
    assert sum(each.n_scored for each in found) == sum(each.n_bytes for each in found) == 5


def test_the_text_of_a_control_token_is_text() -> None:
    (found,) = windows(OwnText("text", "<|im_end|>"), BYTES, 64)

    assert bytes(found.ids) == b"<|im_end|>"


def test_a_file_is_its_text(saved) -> None:
    content = ("Žlutý vůz, 渡轮 👍🏽\n" * 50).encode()

    found = list(windows(FileText([saved(content)]), BYTES, 100))

    assert b"".join(bytes(each.ids) for each in found) == content


@pytest.mark.parametrize("read_bytes", [1, 3, 7, 64])
def test_blocks_and_reads_of_any_size_lose_nothing(
    saved, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    content = "one two\n\n  three\n渡轮 👍🏽 four" * 20
    monkeypatch.setattr(text_windows, "_READ_BYTES", read_bytes)
    monkeypatch.setattr(text_windows, "BLOCK_CHARS", 11)

    text = FileText([saved(content.encode())])

    assert "".join(block for blocks in text.blocks() for block in blocks) == content
    found = windows(text, BYTES, 16)
    assert b"".join(bytes(each.ids) for each in found) == content.encode()


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("aaaa\nbbbb\ncccc", ["aaaa\nbbbb\n", "cccc"]),
        ("aaaa bbbb cccc", ["aaaa bbbb", " cccc"]),
        ("aaaa\n\n\nbbbbcccc", ["aaaa\n\n\n", "bbbbcccc"]),
        ("aaaabbbbccccdddd", ["aaaabbbbcccc", "dddd"]),
    ],
)
def test_a_cut_is_where_a_line_or_a_word_ends(
    monkeypatch: pytest.MonkeyPatch, text: str, cuts: list[str]
) -> None:
    monkeypatch.setattr(text_windows, "BLOCK_CHARS", 12)

    (blocks,) = OwnText("text", text).blocks()

    assert list(blocks) == cuts


def test_windows_do_not_go_over_the_end_of_a_file(saved) -> None:
    text = FileText([saved(b"abcde", "1"), saved(b"fgh", "2")])

    assert [bytes(each.ids) for each in windows(text, BYTES, 4)] == [b"abcd", b"fgh"]
    assert text.name == "1, 2"


def test_the_hash_is_that_of_the_bytes(saved) -> None:
    # `printf abc | sha256sum`
    want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert FileText([saved(b"a", "1"), saved(b"bc", "2")]).sha256() == want
    assert OwnText("text", "abc").sha256() == want


@pytest.mark.parametrize(
    ("content", "at"), [(b"abc\xff", 3), (b"\xe6\xb8", 0), (b"ok \xc3(", 3), (b"\xed\xa0\x80", 0)]
)
@pytest.mark.parametrize("read_bytes", [1, 1 << 20])
def test_what_is_not_utf8_is_refused_with_its_place(
    saved, monkeypatch: pytest.MonkeyPatch, content: bytes, at: int, read_bytes: int
) -> None:
    monkeypatch.setattr(text_windows, "_READ_BYTES", read_bytes)

    with pytest.raises(UsageError, match=f"text.txt: is not UTF-8 at byte {at}$"):
        list(windows(FileText([saved(content)]), BYTES, 4))


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name, message in (("pipe", "no|not an ordinary file"), ("missing", "can't be read")):
        with pytest.raises(UsageError, match=message):
            list(windows(FileText([tmp_path / name]), BYTES, 4))
    with pytest.raises(UsageError, match="not an ordinary file"):
        FileText([tmp_path]).sha256()
