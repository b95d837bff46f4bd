"""Hostile safetensors files: each is refused with a message that names the file and the tensor.

Whatever the `safetensors` package refuses, Aboard refuses too; the rest of the table is where
Aboard is stricter than the package.
"""

import json
import struct
import tracemalloc
from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from aboard.checkpoint.safetensors import open_safetensors
from aboard.errors import CheckpointError, MalformedFile
from checkpoint.handmade_safetensors import entry, raw, safetensors, texts

FOUR = entry("F32", [1], 0, 4)
DEEP = 20_000

# name: bytes of the file, what the message says, and whether the package refuses it as well
ATTACKS: dict[str, tuple[bytes, str, bool]] = {
    "empty": (b"", "has 0 bytes, too few", True),
    "seven bytes": (bytes(7), "has 7 bytes, too few", True),
    "length beyond the file": (raw("{}", length=3), "claims a header of 3 bytes", True),
    "length of 2^63": (raw("{}", length=2**63), "claims a header of", True),
    "length of 2^64 - 1": (raw("{}", length=2**64 - 1), "claims a header of", True),
    "no header": (raw(""), r"the header begins with b''", True),
    "header of an array": (raw("[]"), r"begins with b'\[\]'", True),
    "header after a space": (raw(" {}"), r"begins with b' \{\}'", False),
    "header after a byte order mark": (raw(b"\xef\xbb\xbf{}"), "begins with", True),
    "no JSON": (raw('{"t":'), "the header is no JSON", True),
    "two objects": (raw("{}{}"), "the header is no JSON", True),
    "no UTF-8": (raw(b'{"\xff":1}'), "is not UTF-8 text, at byte 2", True),
    "half a surrogate": (
        raw('{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        r"tensor '\\ud800' has a name that is no Unicode",
        True,
    ),
    "NaN": (raw('{"t":NaN}'), "holds NaN", True),
    "nested arrays": (raw('{"t":' + "[" * DEEP), "nests values too deeply", True),
    "nested objects": (raw('{"t":' * DEEP), "nests values too deeply", True),
    "nested shape": (
        raw('{"t":{"dtype":"F32","data_offsets":[0,4],"shape":' + "[" * 50 + "]" * 50 + "}}"),
        "tensor 't' has the shape",
        True,
    ),
    "tensor twice": (
        raw(texts([("t", json.dumps(FOUR)), ("t", json.dumps(FOUR))]), bytes(4)),
        "tensor 't' stands there twice",
        False,
    ),
    "dtype twice": (
        raw('{"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "tensor 't' has the key 'dtype' twice",
        True,
    ),
    "metadata twice": (
        raw('{"__metadata__":{"a":"b"},"__metadata__":{"a":"b"}}'),
        "'__metadata__' stands there twice",
        True,
    ),
    "metadata of numbers": (safetensors({}, metadata={"a": 1}), "has no text for 'a'", True),
    "metadata of objects": (safetensors({}, metadata={"a": {}}), "has no text for 'a'", True),
    "metadata of a list": (safetensors({}, metadata=[]), "__metadata__ is list", True),
    "metadata key twice": (
        raw('{"__metadata__":{"a":"b","a":"c"}}'),
        "__metadata__ has the key 'a' twice",
        False,
    ),
    "entry of a number": (safetensors({"t": 5}), "tensor 't' expected an object", True),
    "entry without a shape": (
        safetensors({"t": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
        "tensor 't' expected an object with just",
        True,
    ),
    "entry with more keys": (
        safetensors({"t": {**FOUR, "strides": [1]}}, bytes(4)),
        "tensor 't' expected an object with just",
        False,
    ),
    "name without letters": (safetensors({"": FOUR}, bytes(4)), "a name of 0 bytes", False),
    "name of 2000 letters": (
        safetensors({"n" * 2000: FOUR}, bytes(4)),
        "a name of 2000 bytes",
        False,
    ),
    "dtype unknown": (
        safetensors({"t": entry("F33", [1], 0, 4)}, bytes(4)),
        "tensor 't' has the dtype 'F33'",
        True,
    ),
    "dtype of a number": (
        safetensors({"t": entry(32, [1], 0, 4)}, bytes(4)),
        "tensor 't' has the dtype '32'",
        True,
    ),
    "negative dimension": (
        safetensors({"t": entry("F32", [-1], 0, 4)}, bytes(4)),
        r"tensor 't' has the shape \[-1\]",
        True,
    ),
    "dimension of a float": (
        safetensors({"t": entry("F32", [1.0], 0, 4)}, bytes(4)),
        r"tensor 't' has the shape \[1.0\]",
        True,
    ),
    "dimension of a boolean": (
        safetensors({"t": entry("F32", [True], 0, 4)}, bytes(4)),
        r"tensor 't' has the shape \[True\]",
        True,
    ),
    "shape of a text": (
        safetensors({"t": entry("F32", "1", 0, 4)}, bytes(4)),
        "tensor 't' has the shape 1",
        True,
    ),
    "nine dimensions": (
        safetensors({"t": entry("F32", [1] * 9, 0, 4)}, bytes(4)),
        "tensor 't' has 9 dimensions",
        False,
    ),
    "product that overflows": (
        safetensors({"t": entry("U8", [2**32, 2**32, 1], 0, 4)}, bytes(4)),
        "tensor 't' has the shape .*, which overflows",
        True,
    ),
    "product that overflows to the right size": (
        safetensors({"t": entry("F32", [2**62 + 1, 4], 0, 16)}, bytes(16)),
        "tensor 't' has the shape .*, which overflows",
        True,
    ),
    "dimension beyond 64 bits": (
        safetensors({"t": entry("F32", [2**64 + 1], 0, 4)}, bytes(4)),
        "tensor 't' has the shape .*, which overflows",
        True,
    ),
    "dimension of 5000 digits": (
        raw('{"t":{"dtype":"F32","data_offsets":[0,4],"shape":[' + "1" * 5000 + "]}}", bytes(4)),
        "the header holds a number of",
        True,
    ),
    "zero times overflow": (
        safetensors({"t": entry("F32", [2**63, 2, 0], 0, 0)}),
        "tensor 't' has the shape .*, which overflows",
        True,
    ),
    "size is not the shape's": (
        safetensors({"t": entry("F32", [2], 0, 4)}, bytes(4)),
        r"tensor 't' has 4 bytes, but F32 \(2,\) takes 8",
        True,
    ),
    "half a byte": (
        safetensors({"t": entry("F4", [1], 0, 0)}),
        r"tensor 't' has 0 bytes, but F4 \(1,\) takes 0.5",
        True,
    ),
    "offsets of floats": (
        safetensors({"t": entry("F32", [1], 0.0, 4.0)}, bytes(4)),
        r"tensor 't' has the data_offsets \[0.0, 4.0\]",
        True,
    ),
    "negative offsets": (
        safetensors({"t": entry("F32", [1], -4, 0)}, bytes(4)),
        "tensor 't' has the data_offsets",
        True,
    ),
    "one offset": (
        safetensors({"t": {**FOUR, "data_offsets": [4]}}, bytes(4)),
        "tensor 't' has the data_offsets",
        True,
    ),
    "end before begin": (
        safetensors({"t": entry("F32", [0], 4, 0)}, bytes(4)),
        "tensor 't' has the data_offsets",
        True,
    ),
    "end beyond the file": (
        safetensors({"t": entry("F32", [2], 0, 8)}, bytes(4)),
        "tensor 't' ends at byte",
        True,
    ),
    "overlap": (
        safetensors({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
        "tensor 'b' overlaps tensor 'a'",
        True,
    ),
    "same bytes twice": (
        safetensors({"a": FOUR, "b": FOUR}, bytes(4)),
        "tensor 'b' overlaps tensor 'a'",
        True,
    ),
    "hole": (
        safetensors({"a": FOUR, "b": entry("F32", [1], 8, 12)}, bytes(12)),
        "tensor 'b' begins at byte .*, 4 bytes too late",
        True,
    ),
    "hole before the first": (
        safetensors({"a": entry("F32", [1], 4, 8)}, bytes(8)),
        "tensor 'a' begins at byte .*, 4 bytes too late",
        True,
    ),
    "trailing bytes": (safetensors({"t": FOUR}, bytes(5)), "tensor 't' is the last and ends", True),
    "bytes without a tensor": (safetensors({}, bytes(1)), "the header is the last and ends", True),
    "more entries than there may be": (
        raw("{" + ",".join(f'"{i}":{{}}' for i in range(70_000)) + "}"),
        "the header has 70001 entries",
        True,
    ),
    "a million numbers": (
        raw('{"t":{"dtype":"U8","data_offsets":[0,1],"shape":[' + "1," * 1_100_000 + "1]}}", b"1"),
        "more than 1048576 values",
        False,
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hostile.safetensors"


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_and_the_place_named(path: Path, name: str) -> None:
    content, message, _ = ATTACKS[name]
    path.write_bytes(content)
    tracemalloc.start()

    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            open_safetensors(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300
    assert peak_bytes <= 3 * len(content) + (8 << 20)


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name][2]])
def test_the_package_refuses_it_too(path: Path, name: str) -> None:
    path.write_bytes(ATTACKS[name][0])

    with pytest.raises((SafetensorError, OSError, RuntimeError)):
        safe_open(path, "np").__enter__()


def test_a_header_of_more_than_100_mb_is_refused_unread(path: Path) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001) + b"{")
        file.truncate(8 + 100_000_001)

    with pytest.raises(MalformedFile, match="at most 100000000"):
        open_safetensors(path)


def test_a_file_cut_anywhere_is_malformed(path: Path) -> None:
    tensors = {"a": entry("F32", [2], 0, 8), "b": entry("F16", [3], 8, 14)}
    whole = safetensors(tensors, bytes(14), metadata={"format": "pt"}, pad=3)
    path.write_bytes(whole)
    open_safetensors(path)

    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(MalformedFile, match=r"hostile\.safetensors"):
            open_safetensors(path)


def test_a_named_pipe_and_a_missing_file_are_refused(path: Path) -> None:
    import os

    with pytest.raises(CheckpointError, match="can't be read"):
        open_safetensors(path)

    os.mkfifo(path)

    with pytest.raises(CheckpointError, match="is not an ordinary file"):
        open_safetensors(path)
