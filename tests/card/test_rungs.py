"""How the sizes of a ladder are asked for."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from aboard.artifact.gguf_writer import NewTensor
from aboard.card.climb import Climb
from aboard.card.rungs import command_of, parse_rungs, usual_rungs
from aboard.errors import UsageError
from aboard.fitting import Budget


def test_bits_sizes_and_formats_may_be_mixed() -> None:
    found = parse_rungs("4.5, 90MB,q4_k")

    assert [each.name for each in found] == ["4.5 bits", "90MB", "Q4_K"]
    assert [each.budget for each in found] == [
        Budget(bits=4.5),
        Budget(size_bytes=90_000_000),
        Budget(format="Q4_K"),
    ]
    assert [each.way for each in found] == ["fitted", "fitted", "plain"]


@pytest.mark.parametrize("text", ["", ",", "q9_9", "0", "-4", "33", "4,4", "4x", "nan", "90 MBit"])
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rungs(text)


def test_by_default_all_has_fewer_bits_than_the_source() -> None:
    small = [NewTensor("output.weight", "Q8_0", (64, 576))]
    floats = [NewTensor("output.weight", "F16", (64, 512))]

    names = [each.name for each in usual_rungs(small)]
    assert "Q4_K" not in names  # rows of 576 are no whole blocks of 256
    assert names[-1] == "Q4_0"
    assert "8.5 bits" not in names
    assert {"8.5 bits", "Q8_0", "Q4_K"} <= {each.name for each in usual_rungs(floats)}


def test_commands_make_the_same_file_again() -> None:
    bits, size, form = parse_rungs("4.5,90MB,q4_k")
    words = ["--text", "my text.txt", "--tokens", "2048"]

    assert shlex.split(command_of(bits, "m.gguf", words)) == [
        *("aboard", "quantize", "m.gguf", "--bits", "4.5", "--text", "my text.txt"),
        *("--tokens", "2048", "-o", "4.5-bits.gguf"),
    ]
    assert command_of(size, "m.gguf") == "aboard quantize m.gguf --size 90MB -o 90mb.gguf"
    assert command_of(form, "m.gguf") == "aboard import m.gguf --type q4_k -o q4_k.gguf"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"n_tokens": 2048}, ["--tokens", "2048"]),
        ({"calibration": (Path("a b.txt"),)}, ["--text", "a b.txt"]),
        ({"self_written": False}, ["--no-self-written"]),
        ({"self_written": True}, ["--self-written"]),
    ],
)
def test_commands_say_what_sizes_are_made_on(asked: dict[str, Any], words: list[str]) -> None:
    climb = Climb(source=Path("m.gguf"), folder=Path("out"), **asked)

    assert climb.calibration_words("--text") == words
