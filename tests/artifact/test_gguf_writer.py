"""Writing GGUF files, against the `gguf` package's reader and Aboard's own."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

import aboard
from aboard import formats
from aboard.artifact import replacement
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.checkpoint.gguf import open_gguf
from aboard.checkpoint.gguf_strings import StringArray
from aboard.errors import ArtifactError

VALUES = {
    "general.architecture": ("llama", "STRING"),
    "flag": (True, "BOOL"),
    "count": (7, "UINT32"),
    "below": (-7, "INT32"),
    "large": (2**40, "UINT64"),
    "far below": (-(2**40), "INT64"),
    "number": (0.5, "FLOAT32"),
    "exact": (np.float64(0.1), "FLOAT64"),
    "byte": (np.uint8(3), "UINT8"),
    "short": (np.int16(-3), "INT16"),
    "typed": (np.uint64(3), "UINT64"),
    "text": ("Grüße, 世界 🌍\0", "STRING"),
}
ARRAYS = {
    "texts": (["a", "", "é", "🌍"], "STRING"),
    "packed texts": (StringArray.of(["x", "yz"]), "STRING"),
    "no texts": ([], "STRING"),
    "integers": ([1, -2, 3], "INT32"),
    "numbers": ([1, 0.5], "FLOAT32"),
    "flags": ([True, False], "BOOL"),
    "floats": (np.array([1.5, -2.0], np.float32), "FLOAT32"),
    "unsigned": (np.array([1, 2], np.uint32), "UINT32"),
    "doubles": (np.array([0.1]), "FLOAT64"),
    "booleans": (np.array([False, True]), "BOOL"),
}


def written(path: Path, metadata: dict[str, object], tensors: dict[str, tuple]) -> Path:
    """A file of these entries and tensors, name -> (format, shape, bytes)."""
    declared = [NewTensor(name, fmt, shape) for name, (fmt, shape, _) in tensors.items()]
    with GgufWriter(path, metadata, declared) as writer:
        for name, (_, _, data) in tensors.items():
            writer.write(name, data)
        writer.publish()
    return path


def everything_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("key", VALUES)
def test_a_value_has_the_type_and_comes_back_as_the_gguf_package_reads_it(
    tmp_path: Path, key: str
) -> None:
    value, kind = VALUES[key]

    path = written(tmp_path / "x.gguf", {key: value}, {})

    field = gguf.GGUFReader(path).get_field(key)
    assert field.types == [gguf.GGUFValueType[kind]]
    assert field.contents() == (pytest.approx(value) if isinstance(value, float) else value)
    assert open_gguf(path).metadata[key] == field.contents()


@pytest.mark.parametrize("key", ARRAYS)
def test_an_array_has_the_type_and_comes_back_as_the_gguf_package_reads_it(
    tmp_path: Path, key: str
) -> None:
    value, kind = ARRAYS[key]

    path = written(tmp_path / "x.gguf", {key: value}, {})

    found = open_gguf(path).metadata[key]
    assert list(found) == list(value)
    if len(value):  # the package can't tell the type of an empty array
        field = gguf.GGUFReader(path).get_field(key)
        assert field.types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType[kind]]
        assert list(field.contents()) == list(value)


def test_arrays_of_arrays_come_back(tmp_path: Path) -> None:
    nested = [np.array([1, 2], np.uint8), ["a", "b"], [np.array([0.5], np.float32)]]

    path = written(tmp_path / "x.gguf", {"k": nested}, {})

    found = open_gguf(path).metadata["k"]
    assert found[0].tolist() == [1, 2]
    assert list(found[1]) == ["a", "b"]
    assert found[2][0].tolist() == [0.5]


@pytest.mark.parametrize("fmt", formats.NAMES)
def test_tensors_of_every_format_are_found_by_the_gguf_package(tmp_path: Path, fmt: str) -> None:
    form = formats.by_name(fmt)
    shape = (3, 2 * form.BLOCK)
    data = np.random.default_rng(0).integers(0, 256, (3, 2, form.BLOCK_BYTES), dtype=np.uint8)
    odd = np.arange(5, dtype=np.float32)

    path = written(
        tmp_path / "x.gguf", {"a": 1}, {"odd": ("F32", (5,), odd), "t": (fmt, shape, data)}
    )

    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert tensors["t"].tensor_type == gguf.GGMLQuantizationType[fmt]
    assert tensors["t"].shape.tolist() == list(shape[::-1])
    assert tensors["t"].data.tobytes() == data.tobytes()
    assert tensors["odd"].data.tobytes() == odd.tobytes()
    ours = open_gguf(path)
    assert ours.tensors["t"].shape == shape
    assert ours.read("t").tobytes() == data.tobytes()


def test_the_file_is_the_one_that_the_gguf_package_writes(tmp_path: Path) -> None:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    theirs = gguf.GGUFWriter(tmp_path / "theirs.gguf", "llama")
    theirs.add_uint32("llama.block_count", 1)
    theirs.add_array("tokenizer.ggml.tokens", ["a", "b"])
    theirs.add_tensor("token_embd.weight", weights)
    theirs.add_tensor("output_norm.weight", weights[0])
    theirs.write_header_to_file()
    theirs.write_kv_data_to_file()
    theirs.write_tensors_to_file()
    theirs.close()
    metadata = {
        "general.architecture": "llama",
        "llama.block_count": 1,
        "tokenizer.ggml.tokens": ["a", "b"],
    }
    tensors = {
        "token_embd.weight": ("F32", (3, 4), weights),
        "output_norm.weight": ("F32", (4,), weights[0]),
    }

    path = written(tmp_path / "ours.gguf", metadata, tensors)

    assert path.read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


def test_tensors_come_in_pieces(tmp_path: Path) -> None:
    data = np.arange(64, dtype=np.float32)
    path = tmp_path / "x.gguf"

    with GgufWriter(path, {}, [NewTensor("t", "F32", (4, 16))]) as writer:
        for row in data.reshape(4, 16):
            writer.write("t", row)
        assert not path.exists()
        writer.publish()

    assert path.stat().st_size == writer.size_bytes
    assert open_gguf(path).read("t").tobytes() == data.tobytes()


def test_tensors_out_of_turn_too_long_or_not_whole_are_refused(tmp_path: Path) -> None:
    declared = [NewTensor("a", "F32", (2,)), NewTensor("b", "F32", (2,))]

    with GgufWriter(tmp_path / "x.gguf", {}, declared) as writer:
        with pytest.raises(ArtifactError, match="'b' is written out of turn"):
            writer.write("b", bytes(8))
        writer.write("a", bytes(8))
        with pytest.raises(ArtifactError, match="'b' isn't whole"):
            writer.publish()
        with pytest.raises(ArtifactError, match="'b' is given 12 bytes, it takes 8"):
            writer.write("b", bytes(12))

    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([NewTensor("t", "F32", (0, 2))], "has the shape"),
        ([NewTensor("t", "F32", ())], "has the shape"),
        ([NewTensor("t", "F32", (1, 1, 1, 1, 1))], "has the shape"),
        ([NewTensor("t", "Q8_0", (2, 33))], "rows of 33 weights, expected a multiple of 32"),
        ([NewTensor("t" * 64, "F32", (1,))], "expected a name of 1 to 63 bytes"),
        ([NewTensor("", "F32", (1,))], "expected a name of 1 to 63 bytes"),
        ([NewTensor("t", "F32", (1,))] * 2, "'t' is declared twice"),
    ],
)
def test_tensors_that_no_file_holds_are_refused(
    tmp_path: Path, tensors: list[NewTensor], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        GgufWriter(tmp_path / "x.gguf", {}, tensors)

    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is NoneType, which GGUF can't hold"),
        (b"x", "is bytes, which"),
        ({"a": 1}, "is dict, which"),
        (2**64, "is beyond 64 bits|which is beyond 64 bits"),
        ([2**40], "holds a number beyond INT32"),
        (["a", 1], "mixes values of several types"),
        (np.zeros((2, 2)), "an array of 2 dimensions"),
        (np.zeros(2, np.float16), "holds float16"),
        ("\ud800", "half a surrogate"),
    ],
)
def test_values_that_no_file_holds_are_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(ArtifactError, match=f"metadata 'k'.*({message})"):
        GgufWriter(tmp_path / "x.gguf", {"k": value}, [])

    assert everything_in(tmp_path) == set()


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"old")

    with GgufWriter(path, {}, [NewTensor("t", "F32", (1,))]) as writer:
        writer.write("t", bytes(4))
        assert path.read_bytes() == b"old"
        writer.publish()

    assert path.read_bytes()[:4] == b"GGUF"
    assert everything_in(tmp_path) == {"x.gguf"}


def test_what_a_kill_left_is_taken_over(tmp_path: Path) -> None:
    leftover = tmp_path / ".x.gguf.part"
    leftover.write_bytes(bytes(10_000))

    path = written(tmp_path / "x.gguf", {}, {"t": ("F32", (1,), bytes(4))})

    assert open_gguf(path).size_bytes == path.stat().st_size < 10_000
    assert everything_in(tmp_path) == {"x.gguf"}


def test_two_writers_of_one_file_are_told_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"

    with GgufWriter(path, {}, [NewTensor("t", "F32", (1,))]) as first:
        with pytest.raises(ArtifactError, match="another process is writing it"):
            GgufWriter(path, {}, [])
        first.write("t", bytes(4))
        first.publish()

    assert set(open_gguf(path).tensors) == {"t"}
    assert everything_in(tmp_path) == {"x.gguf"}


def test_a_leftover_that_is_a_link_or_a_pipe_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".x.gguf.part").symlink_to(victim)
    os.mkfifo(tmp_path / ".y.gguf.part")

    for name in ("x.gguf", "y.gguf"):
        with pytest.raises(ArtifactError, match="can't be written"):
            GgufWriter(tmp_path / name, {}, [])

    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("place", ["no/such/x.gguf", "."])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    with pytest.raises(ArtifactError, match=r"can't be written|is no ordinary file"):
        GgufWriter(tmp_path / place, {}, [])


def test_a_disk_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.statvfs(tmp_path)
    too_many = whole.f_blocks * whole.f_frsize // 4096

    with pytest.raises(ArtifactError, match=r"the disk is full; x\.gguf takes"):
        GgufWriter(tmp_path / "x.gguf", {}, [NewTensor("t", "F32", (too_many, 4096))])

    assert everything_in(tmp_path) == set()


FILL = """
import sys, pathlib
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.errors import ArtifactError
try:
    with GgufWriter(pathlib.Path(sys.argv[1]), {}, [NewTensor("t", "F32", (1 << 18,))]) as writer:
        writer.write("t", bytes(1 << 20))
        writer.publish()
except ArtifactError as error:
    print(error)
"""


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    """The system's own limit for the size of files stands for the disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))

    outcome = subprocess.run(
        [sys.executable, "-c", FILL, tmp_path / "x.gguf"],
        preexec_fn=limit,
        env={**os.environ, "PYTHONPATH": str(Path(aboard.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"{tmp_path}: the disk is full; x.gguf takes 1.0 MB" in outcome.stdout
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_error_at_the_last_moment_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(replacement.os, "fsync", fail)

    with pytest.raises(ArtifactError, match=r"the disk is full|can't be written"):
        written(path, {}, {"t": ("F32", (1,), bytes(4))})

    assert path.read_bytes() == b"old"
    assert everything_in(tmp_path) == {"x.gguf"}


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_writer.py")

    outcome = subprocess.run(
        [sys.executable, script, tmp_path],
        env={**os.environ, "PYTHONPATH": str(Path(aboard.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )

    kills, *states = outcome.stdout.split()
    assert int(kills) >= 8
    assert states == ["absent", "new", "old", "then:new"]
