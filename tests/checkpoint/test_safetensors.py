"""Reading safetensors checkpoints, against the `safetensors` package and ml_dtypes."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from aboard.checkpoint.safetensors import open_safetensors
from aboard.checkpoint.safetensors_types import BITS, WEIGHT_TYPES, decode
from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile, UsageError
from checkpoint.handmade_safetensors import entry, safetensors

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I8": np.int8,
    "U8": np.uint8,
}


def single_file(folder: Path, **tensors: np.ndarray) -> Path:
    path = folder / "model.safetensors"
    save_file(tensors, path)
    return path


def sharded(folder: Path, shards: dict[str, dict[str, np.ndarray]], **changes: object) -> Path:
    """A folder of shards and their index; `changes`: what its weight_map says otherwise."""
    weight_map = {name: shard for shard, tensors in shards.items() for name in tensors}
    for shard, tensors in shards.items():
        save_file(tensors, folder / shard)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map | changes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_a_file_is_listed_and_read_as_the_safetensors_package_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "a.weight": rng.standard_normal((3, 5)).astype(np.float32),
        "Grüße": rng.standard_normal((2, 1, 4)).astype(np.float16),
        "scalar": np.array(3.0),
        "empty": np.zeros((0, 3), np.float32),
        "flags": np.array([True, False]),
        "ids": np.arange(4),
    }
    path = single_file(tmp_path, **tensors)

    with open_safetensors(path) as found, safe_open(path, "np") as oracle:
        assert set(found.tensors) == set(oracle.keys())
        for name, tensor in found.tensors.items():
            assert tensor.format == oracle.get_slice(name).get_dtype()
            assert list(tensor.shape) == oracle.get_slice(name).get_shape()
            assert found.read(name).tobytes() == oracle.get_tensor(name).tobytes()


@pytest.mark.parametrize("form", WEIGHT_TYPES)
def test_weights_are_those_that_ml_dtypes_and_numpy_see(form: str) -> None:
    dtype = np.dtype(DTYPES[form])
    raw = np.random.default_rng(1).integers(0, 256, 8 * 4096, dtype=np.uint8)
    if dtype.itemsize == 1:
        raw = np.arange(256, dtype=np.uint8)

    got = decode(form, raw)

    with np.errstate(over="ignore", invalid="ignore"):
        want = raw.view(dtype).astype(np.float32)
    assert got.dtype == np.float32
    assert np.array_equal(got, want, equal_nan=True)
    assert np.array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0]))


@pytest.mark.parametrize("form", sorted(set(BITS) - set(WEIGHT_TYPES)))
def test_types_that_no_weights_come_in_are_listed_but_not_decoded(
    tmp_path: Path, form: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"t": entry(form, [8], 0, BITS[form])}, bytes(BITS[form])))

    assert open_safetensors(path).tensors["t"].format == form
    with pytest.raises(UnsupportedFile, match=form):
        decode(form, np.zeros(8, np.uint8))


def test_any_range_of_bytes_is_read_into_the_callers_buffer(tmp_path: Path) -> None:
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    buffer = np.zeros((2, 10), np.float32)

    open_safetensors(single_file(tmp_path, x=values, y=values[:2])).read_into("x", buffer, 3 * 40)

    assert buffer.tobytes() == values[3:5].tobytes()


def test_ranges_beyond_a_tensor_and_unknown_tensors_are_refused(tmp_path: Path) -> None:
    found = open_safetensors(single_file(tmp_path, x=np.zeros(4, np.float32)))

    with pytest.raises(UsageError, match="bytes 8 to 24 of tensor 'x', which has 16"):
        found.read_into("x", bytearray(16), 8)
    with pytest.raises(CheckpointError, match="has no tensor 'z'"):
        found.read("z")


def test_what_a_file_says_about_itself_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"x": np.zeros(1)}, path, metadata={"format": "pt"})

    assert open_safetensors(path).metadata == {"format": "pt"}


def test_a_file_without_tensors_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({}, pad=7))

    assert open_safetensors(path).tensors == {}


def test_a_folder_with_one_file_is_that_file(tmp_path: Path) -> None:
    single_file(tmp_path, x=np.ones(3, np.float32))

    found = open_safetensors(tmp_path)

    assert found.path == tmp_path
    assert found.read("x").tobytes() == np.ones(3, np.float32).tobytes()


def test_a_folder_of_shards_is_read_as_one_checkpoint(tmp_path: Path) -> None:
    first, second = np.ones(3, np.float32), np.zeros((2, 2), np.float16)
    shards = {
        "model-00001-of-00002.safetensors": {"a": first},
        "model-00002-of-00002.safetensors": {"b": second, "c": first},
    }

    found = open_safetensors(sharded(tmp_path, shards))

    assert set(found.tensors) == {"a", "b", "c"}
    assert found.size_bytes == sum((tmp_path / shard).stat().st_size for shard in shards)
    assert found.read("a").tobytes() == first.tobytes()
    assert found.read("b").tobytes() == second.tobytes()


ONE, TWO = "one.safetensors", "two.safetensors"
A, B = {"a": np.ones(2, np.float32)}, {"b": np.ones(2, np.float32)}


@pytest.mark.parametrize(
    ("shards", "changes", "message"),
    [
        ({ONE: A, TWO: B}, {"c": TWO}, r"two\.safetensors: has no tensor 'c'"),
        ({ONE: A, TWO: B}, {"b": ONE}, r"one\.safetensors: has no tensor 'b'"),
        ({ONE: A, TWO: B | A}, {"a": ONE}, r"two.*holds tensor 'a'.* says is in 'one\.safeten"),
        ({ONE: A}, {"b": TWO}, r"1 of 2 files are missing: two\.safetensors"),
        ({ONE: A}, {"b": 7}, "tensor 'b' is in '7', expected the name of"),
        ({ONE: A}, {"b": "../one.safetensors"}, "tensor 'b' is in '../one.safetensors', expected"),
        ({ONE: A}, {"b": "/etc/one.safetensors"}, "expected the name of a .safetensors file in"),
        ({ONE: A}, {"b": "..\\one.safetensors"}, "expected the name of a .safetensors file in"),
        ({ONE: A}, {"b": "one.bin"}, "tensor 'b' is in 'one.bin', expected the name of"),
        ({ONE: A}, {"b": "x\0.safetensors"}, "expected the name of a .safetensors file in"),
        ({ONE: A}, {"b": "x" * 300 + ".safetensors"}, "expected the name of a .safetensors file"),
    ],
)
def test_an_index_that_disagrees_with_its_shards_is_refused(
    tmp_path: Path, shards: dict, changes: dict, message: str
) -> None:
    folder = sharded(tmp_path, shards, **changes)

    with pytest.raises(MalformedFile, match=message):
        open_safetensors(folder)


def test_a_tensor_that_the_index_does_not_name_is_refused(tmp_path: Path) -> None:
    sharded(tmp_path, {ONE: A})
    save_file(A | B, tmp_path / ONE)

    with pytest.raises(MalformedFile, match=r"holds tensor 'b', which .* doesn't name"):
        open_safetensors(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is list, expected a JSON object"),
        ("{}", "has no weight_map"),
        ('{"weight_map": {}}', "has no weight_map"),
        ('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "'a' stands there twice"),
        ("{", "is no JSON"),
        ("[" * 100_000, "nests values too deeply"),
        ('{"weight_map": NaN}', "holds NaN"),
        ('{"weight_map": 1e999}', "beyond a float's range"),
        (
            '{"weight_map": ' + "9" * 5000 + "}",
            "holds a number of 5000 digits",
        ),
    ],
)
def test_an_index_that_is_no_index_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)

    with pytest.raises(CheckpointError, match=message) as caught:
        open_safetensors(tmp_path)

    assert "model.safetensors.index.json" in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.PTH"])
def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x80\x02}q\x00.")

    for given in (path, tmp_path):
        with pytest.raises(UnsupportedFile, match="is a pickled checkpoint") as caught:
            open_safetensors(given)

        assert name in str(caught.value)
        assert "can run any program" in str(caught.value.hint)
        assert "safetensors" in str(caught.value.hint)


def test_a_pickle_by_another_name_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x80\x02}q\x00." + bytes(100))

    with pytest.raises(CheckpointError, match="a Python pickle"):
        open_safetensors(path)


def test_a_folder_with_both_an_index_and_a_single_file_is_refused(tmp_path: Path) -> None:
    sharded(tmp_path, {ONE: A})
    single_file(tmp_path, **B)

    with pytest.raises(UnsupportedFile, match="has both"):
        open_safetensors(tmp_path)


def test_a_folder_without_weights_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="but nothing"):
        open_safetensors(tmp_path)

    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(CheckpointError, match=r"neither .*, but config\.json"):
        open_safetensors(tmp_path)
