"""`aboard plan` and `aboard device`, and the page docs/guide/plan.md, with a tiny folder."""

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aboard import planning
from aboard.errors import ArtifactError
from aboard.planning import choosing_device, read_device, write_device
from artifact.folders import tiny_config, write_folder
from guide import Guide, run_commands, run_python, shell
from planning.devices import LAPTOP, laptop
from tiny import tiny_llama
from tiny_differing import DIFFERING
from tiny_encoders import TinyBert, bert_folder
from tiny_families import tiny_model

GUIDE = Guide("docs/guide/plan.md")


@pytest.fixture
def device(tmp_path: Path) -> str:
    """A device's file."""
    write_device(LAPTOP, tmp_path / "device.json")
    return "device.json"


def test_a_folder_is_planned_type_by_type(call, tmp_path: Path, device: str) -> None:
    write_folder(tmp_path / "my-model")

    outcome = call("plan", "my-model", "--device", device)

    lines = outcome.stdout.splitlines()
    types = [line.split()[0] for line in lines if line.split()[1:2] in (["f16"], ["int8"])]
    assert outcome.exit_code == 0
    assert types[:6] == ["F16", "F16", "BF16", "BF16", "Q8_0", "Q8_0"]
    assert lines[0] == "model        llama, 138,048 parameters"
    assert "A CPU, 2 threads, avx2, 5.00 GB for the model, 40.0 GB/s" in lines[1]
    assert lines[-2].startswith("recommended: Q8_0 with keys and values in f16: the most exact, up")
    assert lines[-1] == "to make it: aboard quantize my-model --fit device.json -o fit.gguf"
    assert "Q4_0: Q8_0 for 1 of the matrices" in outcome.stderr
    assert "up to 134.2 MB beyond the peak" in outcome.stderr


@pytest.mark.parametrize("place", ["gone/device.json", "."])
def test_a_device_is_not_measured_for_a_place_that_holds_no_file(
    place: str, call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure_device", None)

    outcome = call("device", "-o", place)

    assert outcome.exit_code == 1
    assert f"{place}: no file can be written there" in outcome.stderr


def test_a_full_disk_is_told_by_the_name_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(ArtifactError, match=r"device\.json: can't be written: No space left"):
        write_device(LAPTOP, tmp_path / "device.json")

    assert list(tmp_path.iterdir()) == []


def test_as_json(call, tmp_path: Path, device: str) -> None:
    tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")

    outcome = call("plan", "tiny.gguf", "--device", device, "--context", "100", "--json")

    found = json.loads(outcome.stdout)
    assert found["context"] == 100
    assert found["device"]["ceilings"][1]["ops_per_s"] == {"avx2": 600e9, "scalar": 200e9}
    assert found["recommended"] == found["candidates"][0]
    assert found["command"] is None  # it fits as it is
    assert found["recommended"]["peak_bytes"] == sum(found["recommended"]["memory"].values())
    assert {"value", "low", "high"} == set(found["candidates"][0]["speeds"]["first_token_s"])


def test_by_hand_what_is_unknown_is_said(call, tmp_path: Path) -> None:
    tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")

    with_rate = call("plan", "tiny.gguf", "--ram", "7.5GiB", "--bandwidth", "60GB/s")
    without = call("plan", "tiny.gguf", "--ram", "8GB")

    assert "as given, 8.05 GB for the model, 60.0 GB/s" in with_rate.stdout
    assert re.search(r"\)  unknown +unknown$", with_rate.stdout, re.MULTILINE)
    assert "the device's bandwidth isn't known" in without.stdout
    assert without.exit_code == 0


def test_an_encoder_has_neither_cache_nor_decoding(call, tmp_path: Path, device: str) -> None:
    bert_folder(tmp_path / "bert", TinyBert())

    outcome = call("plan", "bert", "--device", device)

    assert outcome.exit_code == 0
    assert "F32 (as it is)  none" in outcome.stdout
    assert "beyond the peak" not in outcome.stderr


@pytest.mark.parametrize(
    ("options", "command"),
    [
        (
            ["--ram", "60MB", "--context", "64", "--users", "2"],
            "quantize my-model --fit 60MB --context 64 --users 2",
        ),
        (["--this-machine"], "quantize my-model --fit this-machine"),
        (["--ram", "8GB", "--bandwidth", "2MB/s"], "quantize my-model --size "),
        (["--ram", "10MB"], None),
    ],
)
def test_the_command_that_follows_is_printed(
    call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    command: str | None,
) -> None:
    write_folder(tmp_path / "my-model")
    monkeypatch.setattr(choosing_device, "measure_device", lambda progress: LAPTOP)

    outcome = call("plan", "my-model", *options)
    told = json.loads(call("plan", "my-model", *options, "--json").stdout)["command"]

    if command is None:
        assert "to make it" not in outcome.stdout
        assert told is None
    else:
        assert told.startswith(f"aboard {command}")
        assert told.endswith(" -o fit.gguf")
        assert outcome.stdout.splitlines()[-1] == f"to make it: {told}"


def test_what_quantize_does_not_take_is_to_be_imported(call, tmp_path: Path) -> None:
    own = DIFFERING.own | {"feed_forward_length": np.array([96, 96, 96, 192, 192], np.int32)}
    tiny_model(tmp_path / "shared.gguf", replace(DIFFERING, width=96, ffn=96, own=own))

    found = json.loads(call("plan", "shared.gguf", "--ram", "8GB", "--json").stdout)

    assert found["command"] == "aboard import shared.gguf --type q8_0 -o fit.gguf"


def test_what_does_not_fit_is_told_and_no_failure(call, tmp_path: Path) -> None:
    tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")

    outcome = call("plan", "tiny.gguf", "--ram", "20MB")

    assert outcome.exit_code == 0
    assert "no, lacks" in outcome.stdout
    assert "recommended: none; nothing fits" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.gguf", "--ram", "8GB", "--bandwidth", "60GB"], "write it as in 60GB/s"),
        (["tiny.gguf", "--ram", "8GB/s"], "That is a bandwidth"),
        (["tiny.gguf", "--bandwidth", "60GB/s"], "--ram 8GB"),
        (["tiny.gguf", "--ram", "8GB", "--this-machine"], "Give one of --device"),
        (["tiny.gguf", "--ram", "8GB", "--context", "5000"], "at most 1024: --context 1024"),
        (["tiny.gguf", "--ram", "8GB", "--users", "2000"], "users is 2000"),
        (["tiny.gguf", "--device", "gone.json"], "gone.json"),
        (["tiny.gguf", "--device", "tiny.gguf"], "tiny.gguf"),
        (["gone.gguf", "--ram", "8GB"], "gone.gguf: no such file"),
        (["empty", "--ram", "8GB"], "empty: has no config.json"),
        (["moe", "--ram", "8GB"], "the model_type 'mixtral' is not supported"),
        (["pickled.bin", "--ram", "8GB"], "pickled.bin"),
        (["smollm2-135m", "--ram", "8GB"], "aboard pull smollm2-135m"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pickled.bin").write_bytes(b"\x80\x02")
    write_folder(tmp_path / "moe", config=tiny_config(model_type="mixtral"))

    outcome = call("plan", *arguments)

    assert outcome.exit_code in (1, 2)
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == ""


def test_no_users_are_a_mistake_of_the_command_line(call) -> None:
    assert call("plan", "tiny.gguf", "--users", "0").exit_code == 2


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What measuring gives."""
    monkeypatch.setattr(planning, "measure_device", lambda progress: laptop(load=9.0))


@pytest.mark.usefixtures("measured")
def test_a_device_is_written_and_its_path_printed(call, tmp_path: Path) -> None:
    outcome = call("device", "-o", "laptop.json")

    assert outcome.stdout == "laptop.json\n"
    assert "the machine is busy (load 9.0)" in outcome.stderr
    assert read_device(tmp_path / "laptop.json") == laptop(load=9.0)


@pytest.mark.usefixtures("measured")
def test_a_device_is_shown(call) -> None:
    shown = call("device").stdout
    as_json = json.loads(call("device", "--json").stdout)

    assert "cores       2 physical, 4 logical, 2 usable" in shown
    assert "2 threads   memory 40.0 GB/s; billion integer operations/s: avx2 600" in shown
    assert as_json["memory_bytes"] == 8_000_000_000


def test_a_device_that_cannot_be_written_is_told(call, measured: None) -> None:
    outcome = call("device", "-o", "gone/laptop.json")

    assert outcome.exit_code == 1
    assert "gone" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    write_folder(tmp_path / "my-model")
    environment = shell(tmp_path)

    outcome = run_commands(GUIDE.commands, environment, tmp_path)
    printed = run_python(GUIDE.python, environment, tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert printed.returncode == 0, printed.stderr
    assert len(GUIDE.blocks("console")) == 2
    assert json.loads((tmp_path / "plan.json").read_text())["recommended"] is not None
    assert printed.stdout.startswith("Q8_0 with keys and values in f16 ")
