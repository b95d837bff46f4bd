"""Sound GGUF files: what the `gguf` package and hand-made bytes say is what the reader gives."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

from aboard import formats
from aboard.checkpoint import gguf_bytes
from aboard.checkpoint.gguf import open_gguf
from aboard.checkpoint.gguf_types import REFUSED_TYPES, TENSOR_TYPES
from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile
from checkpoint.handmade import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    array,
    gguf,
    key,
    tensor,
)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def written_by_package(path: Path, alignment: int = 32) -> Path:
    """Three tensors and a few keys, by the `gguf` package."""
    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    writer.add_custom_alignment(alignment)
    writer.add_context_length(2048)
    writer.add_token_list(["<s>", "a", "", "é", "世", "🌍"])
    writer.add_token_scores([0.5, -1.0, 0.0, 1e-9, -2.5, 3.25])
    writer.add_add_bos_token(True)
    writer.add_tensor("token_embd.weight", rng.standard_normal((6, 4), np.float32))
    blocks = rng.integers(0, 256, (3, 2 * 18), np.uint8)
    writer.add_tensor("blk.0.attn_q.weight", blocks, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.add_tensor("output_norm.weight", rng.standard_normal(7).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("alignment", [8, 32, 64, 4096])
def test_tensors_are_those_the_package_wrote(tmp_path: Path, alignment: int) -> None:
    path = written_by_package(tmp_path / "m.gguf", alignment)

    file = open_gguf(path)

    theirs = {each.name: each for each in GGUFReader(path).tensors}
    assert list(file.tensors) == list(theirs)
    for name, ours in file.tensors.items():
        assert ours.format == theirs[name].tensor_type.name
        assert ours.shape == tuple(theirs[name].shape[::-1])
        assert (ours.path, ours.offset) == (path, theirs[name].data_offset)
        assert file.read(name).tobytes() == theirs[name].data.tobytes()
        assert ours.size_bytes == theirs[name].data.nbytes
    assert file.tensors["blk.0.attn_q.weight"].shape == (3, 64)
    assert file.size_bytes == path.stat().st_size


def test_metadata_is_what_the_package_wrote(tmp_path: Path) -> None:
    metadata = open_gguf(written_by_package(tmp_path / "m.gguf")).metadata

    assert metadata["general.architecture"] == "llama"
    assert metadata["llama.context_length"] == 2048
    assert metadata["tokenizer.ggml.add_bos_token"] is True
    assert list(metadata["tokenizer.ggml.tokens"]) == ["<s>", "a", "", "é", "世", "🌍"]
    assert metadata["tokenizer.ggml.scores"].dtype == np.float32
    assert metadata["tokenizer.ggml.scores"].tolist()[-1] == 3.25


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (U8, 255),
        (I8, -128),
        (U16, 65535),
        (I16, -32768),
        (U32, 2**32 - 1),
        (I32, -(2**31)),
        (F32, 0.15625),
        (BOOL, True),
        (BOOL, False),
        (TEXT, "Grüße, 世界 🌍\0"),
        (TEXT, ""),
        (U64, 2**64 - 1),
        (I64, -(2**63)),
        (F64, 0.1),
    ],
)
def test_a_value_of_each_type_comes_back_as_python_has_it(
    tmp_path: Path, version: int, kind: int, value: object
) -> None:
    path = saved(tmp_path / "m.gguf", gguf([key("k", kind, value)], version=version))

    file = open_gguf(path)

    assert file.version == version
    assert file.metadata == {"k": value}
    assert type(file.metadata["k"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (U8, "u1"),
        (I8, "i1"),
        (U16, "u2"),
        (I16, "i2"),
        (U32, "u4"),
        (I32, "i4"),
        (F32, "f4"),
        (BOOL, "?"),
        (U64, "u8"),
        (I64, "i8"),
        (F64, "f8"),
    ],
)
@pytest.mark.parametrize("n", [0, 1, 3, 100_000])
def test_an_array_of_each_type_of_number_is_read_only(
    tmp_path: Path, kind: int, dtype: str, n: int
) -> None:
    values = np.arange(n).astype(dtype)
    content = array(kind, [], count=n) + values.tobytes()
    path = saved(tmp_path / "m.gguf", gguf([key("k", ARRAY, content), key("after", U8, 7)]))

    metadata = open_gguf(path).metadata

    found = metadata["k"]
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (np.dtype(dtype), (n,))
    assert found.tobytes() == values.tobytes()
    assert not found.flags.writeable
    assert metadata["after"] == 7


def test_arrays_of_arrays_are_lists(tmp_path: Path) -> None:
    numbers, texts = array(I16, [1, -2]), array(TEXT, ["x", "yz"])
    deeper = array(ARRAY, [array(ARRAY, [numbers]), array(ARRAY, [])])
    path = saved(tmp_path / "m.gguf", gguf([key("k", ARRAY, array(ARRAY, [texts, deeper]))]))

    found = open_gguf(path).metadata["k"]

    assert list(found[0]) == ["x", "yz"]
    assert found[1][0][0].tolist() == [1, -2]
    assert found[1][1] == []


@pytest.mark.parametrize("unit", ["", "ab", "é", "🌍" * 20_000], ids=["empty", "2", "wide", "long"])
def test_texts_of_any_length_survive_the_borders_of_the_window(tmp_path: Path, unit: str) -> None:
    texts = [f"{number}{unit}" for number in range(40_000 if len(unit) < 10 else 30)]
    path = saved(tmp_path / "m.gguf", gguf([key("k", ARRAY, array(TEXT, texts))]))

    found = open_gguf(path).metadata["k"]

    assert list(found) == texts
    assert found[-1] == texts[-1]


@pytest.mark.parametrize("window_bytes", [1, 2, 7, 8, 9, 16, 33, 100])
def test_the_borders_of_the_window_may_lie_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_bytes: int
) -> None:
    texts = ["", "a", "é" * 9, "", "🌍" * 40, "\0\0", "z"]
    numbers = array(F64, [0.5, -1.0, 2.25])
    keys = [key("t", ARRAY, array(TEXT, texts)), key("n", ARRAY, numbers), key("s", TEXT, "ß" * 50)]
    path = saved(tmp_path / "m.gguf", gguf(keys, [tensor("w", [2, 1])], b"12345678"))
    monkeypatch.setattr(gguf_bytes, "WINDOW_BYTES", window_bytes)

    file = open_gguf(path)

    assert list(file.metadata["t"]) == texts
    assert file.metadata["n"].tolist() == [0.5, -1.0, 2.25]
    assert file.metadata["s"] == "ß" * 50
    assert file.read("w").tobytes() == b"12345678"


def test_texts_with_nuls_in_them_keep_their_borders(tmp_path: Path) -> None:
    texts = ["\0" * n for n in range(20)] + ["a" + "\0" * 8 + "b", ""] + ["x"] * 5000 + ["\0"]
    path = saved(tmp_path / "m.gguf", gguf([key("k", ARRAY, array(TEXT, texts))]))

    found = open_gguf(path).metadata["k"]

    assert list(found) == texts
    assert [found[i] for i in range(len(texts))] == texts


def test_an_array_of_texts_is_a_sequence(tmp_path: Path) -> None:
    texts = ["zero", "", "zwei", "три"]
    path = saved(tmp_path / "m.gguf", gguf([key("k", ARRAY, array(TEXT, texts))]))

    found = open_gguf(path).metadata["k"]

    assert len(found) == 4
    assert [found[i] for i in range(-4, 4)] == texts + texts
    assert found[1:] == texts[1:]
    assert found[::-2] == texts[::-2]
    assert "три" in found
    assert found.index("zwei") == 2
    assert repr(found) == "<4 strings, the first ['zero', '', 'zwei']>"
    with pytest.raises(IndexError):
        found[4]


def test_the_list_of_types_is_that_of_the_package() -> None:
    from gguf import GGML_QUANT_SIZES

    theirs = {each.value: (each.name, *sizes) for each, sizes in GGML_QUANT_SIZES.items()}

    assert {number: tuple(each) for number, each in TENSOR_TYPES.items()} == {
        number: each for number, each in theirs.items() if number not in REFUSED_TYPES
    }
    assert {each.name for each in TENSOR_TYPES.values()} >= set(formats.NAMES)


@pytest.mark.parametrize(("number", "known"), sorted(TENSOR_TYPES.items()))
def test_a_tensor_of_each_type_has_its_size(tmp_path: Path, number: int, known: tuple) -> None:
    name, block, block_bytes = known
    entry = tensor("t", [3 * block, 2], number)
    path = saved(tmp_path / "m.gguf", gguf([], [entry], bytes(range(250)) * 20))

    file = open_gguf(path)

    found = file.tensors["t"]
    assert (found.format, found.shape, found.size_bytes) == (name, (2, 3 * block), 6 * block_bytes)
    assert file.read("t").tobytes() == (bytes(range(250)) * 20)[: 6 * block_bytes]


def test_metadata_and_tensors_cannot_be_changed(tmp_path: Path) -> None:
    file = open_gguf(saved(tmp_path / "m.gguf", gguf([key("k", U8, 1)])))

    for mapping in (file.metadata, file.tensors):
        assert isinstance(mapping, Mapping)
        with pytest.raises(TypeError):
            mapping["new"] = 1


@pytest.mark.parametrize("make", ["missing", "folder", "pipe", "nul"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: str) -> None:
    path = tmp_path / f"{make}.gguf"
    if make == "folder":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "nul":
        path = tmp_path / "nul\0.gguf"

    with pytest.raises(CheckpointError, match=make):
        open_gguf(path)


@pytest.mark.parametrize(
    ("start", "message", "hint"),
    [
        (b"", "empty", "cut short"),
        (b"GG", "begins with b'GG'", "path"),
        (b"PK\x03\x04abcd", "zip archive", "any program"),
        (b"\x80\x02}q", "pickle", "any program"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page", "download"),
        (b"tjgg\x03\0\0\0", "before GGUF", "again"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(
    tmp_path: Path, start: bytes, message: str, hint: str
) -> None:
    with pytest.raises(MalformedFile, match=f"is not a GGUF file: .*{message}") as caught:
        open_gguf(saved(tmp_path / "m.gguf", start))

    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (0, "version 0, expected 2 or 3"),
        (1, "version 1, expected 2 or 3"),
        (4, "version 4"),
        (3 << 24, "big-endian"),
        (2 << 24, "big-endian"),
    ],
)
def test_other_versions_and_byte_orders_are_named(
    tmp_path: Path, version: int, message: str
) -> None:
    with pytest.raises(UnsupportedFile, match=message):
        open_gguf(saved(tmp_path / "m.gguf", gguf(version=version)))


def test_a_big_endian_file_of_the_package_is_named(tmp_path: Path) -> None:
    from gguf import GGUFEndian

    writer = GGUFWriter(tmp_path / "m.gguf", "llama", endianess=GGUFEndian.BIG)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    with pytest.raises(UnsupportedFile, match="big-endian"):
        open_gguf(tmp_path / "m.gguf")


def test_the_reader_brings_no_more_than_numpy() -> None:
    program = (
        "import sys, numpy; before = set(sys.modules);"
        "import aboard.checkpoint.gguf, aboard.formats;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )

    assert set(done.stdout.split()) <= {"aboard", "numpy"}


def test_a_long_text_comes_back(tmp_path: Path) -> None:
    value = "Grüße " * 100_000
    path = saved(tmp_path / "m.gguf", gguf([key("k", TEXT, value), key("after", U8, 7)]))

    assert open_gguf(path).metadata == {"k": value, "after": 7}
