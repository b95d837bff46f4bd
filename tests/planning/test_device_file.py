"""The file of a device: what was written is read, and nothing else."""

import json
from pathlib import Path

import pytest

from aboard.errors import CheckpointError, UnsupportedFile
from aboard.planning import given_device, read_device, write_device
from planning.devices import LAPTOP, laptop


@pytest.mark.parametrize(
    "device",
    [
        LAPTOP,
        laptop(physical_cores=None, limit_bytes=2**30, battery=None, huge_pages=None, load=0.0),
        given_device(8_000_000_000, None),
    ],
    ids=["all known", "little known", "by hand"],
)
def test_what_is_written_is_read(tmp_path: Path, device) -> None:
    write_device(device, tmp_path / "device.json")

    assert read_device(tmp_path / "device.json") == device
    assert [each.name for each in tmp_path.iterdir()] == ["device.json"]


def changed(path: Path, *keys: str | int, value: object = ...) -> Path:
    """A device's file in which the value at `keys` is another, or is missing."""
    write_device(LAPTOP, path)
    found = json.loads(path.read_text())
    inner = found
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("owner",), "me", "'owner' is unknown"),
        (("ceilings", 0, "owner"), 1, "'owner' is unknown"),
        (("schema",), ..., "has no 'schema'"),
        (("usable_cores",), ..., "has no 'usable_cores'"),
        (("usable_cores",), 0, "expected an integer from 1"),
        (("usable_cores",), True, "expected an integer from 1"),
        (("memory_bytes",), -8, "expected an integer from 1"),
        (("memory_bytes",), 8e9, "expected an integer from 1"),
        (("limit_bytes",), "8GB", "expected an integer from 1"),
        (("memory_bytes",), 1 << 70, "expected an integer from 1"),
        (("battery",), "yes", "expected true, false or null"),
        (("load",), -1.0, "expected a number from 0"),
        (("load",), False, "expected a number from 0"),
        (("load",), 10**400, "expected a number from 0"),
        (("processor",), "x" * 300, "expected a text"),
        (("ceilings",), {}, "expected a list"),
        (("ceilings", 1), 3, "expected an object"),
        (("ceilings", 1, "threads"), 1, "expected each number once, growing"),
        (("ceilings", 0, "ops_per_s"), {"avx2": 1.0}, "the same instruction sets"),
        (("ceilings", 0, "ops_per_s", "avx2"), -1.0, "expected a number from 1"),
        (("ceilings", 0, "bytes_per_s"), 0, "expected a number from 1"),
        (("ceilings", 0, "bytes_per_s"), True, "expected a number from 1"),
        (("ceilings", 0, "bytes_per_s"), 10**400, "expected a number from 1"),
        (("ceilings", 0, "bytes_per_s"), 5e-324, "expected a number from 1"),
    ],
)
def test_what_no_device_has_is_refused(
    tmp_path: Path, keys: tuple[str | int, ...], value: object, message: str
) -> None:
    path = changed(tmp_path / "device.json", *keys, value=value)

    with pytest.raises(CheckpointError, match=message) as caught:
        read_device(path)

    assert "device.json" in str(caught.value)


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    write_device(LAPTOP, path)
    text = path.read_text().rstrip()

    for length in range(len(text)):
        path.write_text(text[:length])

        with pytest.raises(CheckpointError):
            read_device(path)


def test_another_schema_says_to_measure_anew(tmp_path: Path) -> None:
    path = changed(tmp_path / "device.json", "schema", value=2)

    with pytest.raises(UnsupportedFile, match="by schema 2, expected 1") as caught:
        read_device(path)

    assert "aboard device" in (caught.value.hint or "")


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gone"):
        read_device(tmp_path / "gone.json")
