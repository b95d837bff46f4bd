"""`aboard quantize`, and the page docs/guide/quantize.md, with a tiny folder."""

import json
import re
from pathlib import Path

import gguf
import numpy as np
import pytest

from aboard.planning import choosing_device, write_device
from guide import Guide, run_commands, run_python, shell
from planning.devices import LAPTOP
from tiny import Llama, tiny_llama

GUIDE = Guide("docs/guide/quantize.md")
SHAPE = Llama(layers=2, width=64, heads=4, kv_heads=2, ffn=96)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "tiny.gguf", SHAPE, seed=4)


def test_the_path_alone_is_on_stdout(call, source: Path) -> None:
    outcome = call("quantize", str(source), "-o", "out.gguf", "--bits", "8", "--tokens", "8192")

    assert outcome.exit_code == 0
    assert outcome.stdout == "out.gguf\n"
    told = outcome.stderr.splitlines()
    assert told[0].startswith("measure: ")
    assert told[0].endswith(" layers")
    assert re.search(r"^size +\d+\.\d kB, 7\.\d\d bits a weight$", outcome.stderr, re.MULTILINE)
    assert re.search(
        r"^KL divergence +0\.\d+ \+- 0\.\d+ nats a token, on 1,024 tokens held out$",
        outcome.stderr,
        re.MULTILINE,
    )


def test_json_has_what_programs_ask_for(call, source: Path) -> None:
    arguments = ("--format", "q5_0", "--tokens", "4096", "--json")
    outcome = call("quantize", str(source), "-o", "out.gguf", *arguments)

    found = json.loads(outcome.stdout)
    assert found["size_bytes"] == Path("out.gguf").stat().st_size
    assert found["tensors_by_format"] == {"Q5_0": 15, "Q8_0": 1}
    assert {"sha256", "source_sha256", "calibration_sha256", "measured_kl", "command"} < set(found)


@pytest.mark.parametrize(
    ("method", "rounding"), [(None, "gptq"), ("gptq", "gptq"), ("importance", "nearest")]
)
def test_the_method_is_what_was_asked_for(
    method: str | None, rounding: str, call, source: Path
) -> None:
    arguments = ("--format", "q5_0", "--tokens", "4096", "--json")
    named = () if method is None else ("--method", method)

    outcome = call("quantize", str(source), "-o", "out.gguf", *arguments, *named)

    found = json.loads(outcome.stdout)
    assert (found["method"]["rounding"], found["method"]["by_importance"]) == (rounding, True)
    metadata = gguf.GGUFReader("out.gguf").fields["aboard.quantize.rounding"]
    assert metadata.contents() == rounding


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "best"), "'best' is not one of 'gptq', 'importance'"),
        (("--size", "1kB"), "no file of 1,000 bytes is possible: the smallest has"),
        (("--size", "large"), "'large' is not a size"),
        (
            ("--bits", "4", "--size", "1GB"),
            "a budget of bytes and of bits a weight, expected one of them",
        ),
        (("--loss-budget", "0"), "a budget of loss: 0.0, expected a positive number"),
        (("--format", "q9"), "the type is 'q9'"),
        (("--fit", "8GB", "--bits", "4"), "a budget of bits a weight and of the room of a device"),
        (("--fit", "20MB"), "no file fits 20MB: it has 20.0 MB for the model"),
        (("--fit", "8Gb"), "Gb are bits"),
        (("--fit", "gone.json"), "gone.json"),
        (("--fit", "tiny.gguf"), "tiny.gguf"),
        (("--fit", "8GB", "--context", "5000"), "the model's context holds 1024"),
        (("--context", "512"), "say for what a device is to have room"),
        (("--kv", "int8"), "--fit device.json, --fit this-machine or --fit 8GB"),
    ],
)
def test_what_can_not_be_is_told(
    arguments: tuple[str, ...], message: str, call, source: Path
) -> None:
    outcome = call("quantize", str(source), "-o", "out.gguf", "--tokens", "4096", *arguments)

    assert outcome.exit_code in (1, 2)
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert [each.name for each in Path().iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize("device", ["device.json", "this-machine", "5GB"])
def test_a_device_is_filled_and_told_of(
    device: str, call, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_device(LAPTOP, Path("device.json"))
    monkeypatch.setattr(choosing_device, "measure_device", lambda progress: LAPTOP)

    options = ("--fit", device, "--context", "64", "--users", "2", "--kv", "int8")
    outcome = call("quantize", str(source), "-o", "out.gguf", *options, "--tokens", "1024")

    assert outcome.exit_code == 0
    told = outcome.stderr.splitlines()
    asked = "2 contexts of 64 tokens with keys and values in int8"
    assert told[0].startswith(
        f"aboard: {device} has 5.00 GB for the model; {asked} and the program"
    )
    assert told[0].endswith("GB for weights")
    assert f"aboard: on {device}, for {asked}: a peak of " in outcome.stderr
    assert ("tokens a second foreseen in decoding" in outcome.stderr) == (device != "5GB")


def test_a_checkpoint_that_is_not_there_is_told(call) -> None:
    outcome = call("quantize", "nowhere", "-o", "out.gguf")

    assert outcome.exit_code == 1
    assert "nowhere: no such file" in outcome.stderr


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder with a checkpoint and two texts, and `aboard` in the PATH."""
    shape = Llama(layers=1, width=256, heads=4, kv_heads=2, ffn=512)
    tiny_llama(tmp_path / "tiny.gguf", shape, seed=4).rename(tmp_path / "my-model.gguf")
    random = np.random.default_rng(0)
    for name in ("manual.txt", "other.txt"):
        (tmp_path / name).write_text("".join(map(chr, random.integers(32, 127, 5000))))
    return shell(tmp_path)


def test_every_block_of_the_page_runs(environment: dict[str, str], tmp_path: Path) -> None:
    script = re.sub(r"my-model(?= )", "my-model.gguf", GUIDE.commands)
    python = GUIDE.python.replace('"my-model"', '"my-model.gguf"')

    outcome = run_commands(script, environment, tmp_path)
    told = run_python(python, environment, tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert told.returncode == 0, told.stderr
    assert told.stdout == "True True\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["bits_per_weight"] <= 4.5
    # Two texts are few, so the model writes what is missing.
    assert list(report["calibration_sources"]) == ["built in", "manual.txt", "generated"]
