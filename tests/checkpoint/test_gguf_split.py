"""Models in several files: all parts are opened through the first, and must belong together."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from aboard.checkpoint.gguf import open_gguf
from aboard.errors import CheckpointError, MalformedFile, UnsupportedFile
from checkpoint.handmade import I32, TEXT, U16, gguf, key, tensor


def part(number: int, count: int, names: str, total: int | None = None) -> bytes:
    """One part with a tensor of eight weights per letter of `names`."""
    keys = [key("split.no", U16, number), key("split.count", U16, count)]
    if total is not None:
        keys.append(key("split.tensors.count", I32, total))
    if number == 0:
        keys.append(key("general.name", TEXT, "whole"))
    entries = [tensor(name, [8], 0, 32 * place) for place, name in enumerate(names)]
    return gguf(keys, entries, b"".join(32 * name.encode() for name in names))


def saved(folder: Path, *parts: bytes, stem: str = "m") -> Path:
    """The path of the first of `parts`, all saved under the names that parts have."""
    paths = [
        folder / f"{stem}-{number:05d}-of-{len(parts):05d}.gguf"
        for number in range(1, len(parts) + 1)
    ]
    for path, content in zip(paths, parts, strict=True):
        path.write_bytes(content)
    return paths[0]


def test_opening_the_first_part_opens_all(tmp_path: Path) -> None:
    first = saved(tmp_path, part(0, 3, "ab", 4), part(1, 3, "c", 4), part(2, 3, "d", 4))

    file = open_gguf(first)

    assert list(file.tensors) == ["a", "b", "c", "d"]
    assert file.metadata["general.name"] == "whole"
    assert [file.read(name).tobytes() for name in "abcd"] == [
        32 * c for c in (b"a", b"b", b"c", b"d")
    ]
    assert file.tensors["d"].path == tmp_path / "m-00003-of-00003.gguf"
    assert file.path == first
    assert file.size_bytes == sum(each.stat().st_size for each in tmp_path.iterdir())


def test_parts_written_by_the_package_are_put_together(tmp_path: Path) -> None:
    weights = {
        f"t{n}": np.random.default_rng(n).standard_normal((3, 8), np.float32) for n in range(5)
    }
    writer = GGUFWriter(tmp_path / "big.gguf", "llama", split_max_tensors=2)
    for name, values in weights.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    file = open_gguf(tmp_path / "big-00001-of-00003.gguf")

    assert file.metadata["general.architecture"] == "llama"
    assert {name: file.read(name).tobytes() for name in file.tensors} == {
        name: values.tobytes() for name, values in weights.items()
    }


def test_one_part_of_one_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "alone.gguf"
    path.write_bytes(part(0, 1, "a", 1))

    assert list(open_gguf(path).tensors) == ["a"]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    first = saved(tmp_path, part(0, 3, "a"), part(1, 3, "b"), part(2, 3, "c"))
    (tmp_path / "m-00002-of-00003.gguf").unlink()

    with pytest.raises(MalformedFile, match=r"1 of 3 parts are missing: m-00002-of-00003\.gguf"):
        open_gguf(first)


def test_many_missing_parts_are_named_in_short(tmp_path: Path) -> None:
    first = saved(tmp_path, part(0, 9, "a"), *[b""] * 8)
    for path in tmp_path.glob("m-0000[2-9]*"):
        path.unlink()

    with pytest.raises(
        MalformedFile, match=r"8 of 9 parts are missing: .*00006-of-00009.gguf and more"
    ):
        open_gguf(first)


def test_a_later_part_names_the_first(tmp_path: Path) -> None:
    saved(tmp_path, part(0, 2, "a"), part(1, 2, "b"))

    with pytest.raises(UnsupportedFile, match="not the first of 2 parts") as caught:
        open_gguf(tmp_path / "m-00002-of-00002.gguf")

    assert caught.value.hint == "Open m-00001-of-00002.gguf."


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(0, 2, "a"), part(0, 2, "b")], "says it is part 0 of 2, expected 1 of 2"),
        ([part(0, 2, "a"), part(1, 3, "b")], "says it is part 1 of 3, expected 1 of 2"),
        ([part(0, 2, "a"), gguf()], "says it is part None of None"),
        ([part(0, 2, "ab"), part(1, 2, "b")], "tensor 'b' stands in m-00001-of-00002.gguf too"),
        ([part(0, 2, "a", 3), part(1, 2, "b", 3)], "the parts have 2 tensors, expected 3"),
        ([part(0, 2, "a"), part(1, 2, "b")[:-1]], "m-00002-of-00002.gguf: tensor 'b' ends at"),
        ([part(0, 2, "a"), b""], "m-00002-of-00002.gguf: is not a GGUF file: empty"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    tmp_path: Path, parts: list[bytes], message: str
) -> None:
    with pytest.raises(MalformedFile, match=message):
        open_gguf(saved(tmp_path, *parts))


@pytest.mark.parametrize(
    "name", ["m.gguf", "m-1-of-2.gguf", "m-00001-of-00003.gguf", "m-00002-of-00002.gguf"]
)
def test_the_first_part_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(part(0, 2, "a"))

    with pytest.raises(MalformedFile, match=r"of 2 parts, expected .*00001-of-00002\.gguf"):
        open_gguf(path)


@pytest.mark.parametrize("where", ["split.no", "split.count", "split.tensors.count"])
def test_a_number_of_parts_that_is_no_integer_is_refused(tmp_path: Path, where: str) -> None:
    keys = {"split.no": key("split.no", U16, 0), "split.count": key("split.count", U16, 2)}
    keys[where] = key(where, TEXT, "two")
    first = saved(tmp_path, gguf(keys.values()), part(1, 2, "b"))

    with pytest.raises(MalformedFile, match=f"{where} is 'two', expected an integer"):
        open_gguf(first)


def test_more_parts_than_any_model_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-65535.gguf"
    path.write_bytes(part(0, 65535, "a"))

    with pytest.raises(UnsupportedFile, match="one of 65535 parts"):
        open_gguf(path)


def test_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    first = saved(tmp_path, part(0, 2, "a"), b"")
    second = tmp_path / "m-00002-of-00002.gguf"
    second.unlink()
    second.mkdir()

    with pytest.raises(CheckpointError, match=r"m-00002-of-00002\.gguf: is not an ordinary file"):
        open_gguf(first)
