"""What a model writes for its own calibration: where texts are few, kept, the same after a kill."""

import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.engine.self_written import write_on
from aboard.fitting import Budget, QuantizedCheckpoint, calibrating, quantize_checkpoint
from aboard.quantize import calibration
from aboard.quantize.calibration import calibrate
from aboard.quantize.calibration_texts import documents
from tiny import Llama, tiny_llama

SHAPE = Llama(layers=1, width=64, heads=4, kv_heads=2, ffn=96, context=1024)
N_TOKENS = 8192


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-in texts of 7,075 tokens, byte by byte, where all of them have 25,088."""
    monkeypatch.setattr(calibration, "documents", lambda: documents()[:14])
    monkeypatch.setattr(calibration, "conversations", tuple)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("source") / "tiny.gguf", SHAPE, seed=4)


def fitted(source: Path, out: Path, **options: object) -> QuantizedCheckpoint:
    given: dict[str, object] = {"n_tokens": N_TOKENS, "threads": 1}
    return quantize_checkpoint(
        source,
        out,
        Budget(format="q8_0"),
        **(given | options),  # type: ignore[arg-type]
    )


def test_the_model_writes_at_eight_bits_what_texts_lack(source: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    report = fitted(source, tmp_path / "out.gguf", progress=lambda *at: told.append(at))

    n_written = report.calibration_sources["generated"]
    assert sum(report.calibration_sources.values()) <= N_TOKENS
    assert n_written % 512 == 0 < n_written
    steps = [(done, total) for stage, done, total in told if stage == "write"]
    assert steps == sorted(steps)
    assert n_written <= steps[-1][0] <= steps[-1][1] == N_TOKENS - 13 * 512
    import_checkpoint(source, tmp_path / "eight.gguf", type="q8_0")
    model = aboard.load(tmp_path / "eight.gguf")
    want = calibrate(
        model.tokenizer,
        model.chat_template,
        n_tokens=N_TOKENS,
        generate=lambda beginnings, n, _: write_on(model, beginnings, n),
    )
    assert report.calibration_sha256 == want.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eight.gguf", "out.gguf"]


def test_texts_that_are_enough_are_all(source: Path, tmp_path: Path) -> None:
    text = tmp_path / "mine.txt"
    text.write_text("A sentence of my own. " * 100)

    report = fitted(source, tmp_path / "out.gguf", texts=[text])

    assert report.calibration_sources.keys() == {"built in", str(text)}


def test_a_model_writes_nothing_where_it_is_told_not_to(source: Path, tmp_path: Path) -> None:
    report = fitted(source, tmp_path / "out.gguf", self_written=False)

    assert report.calibration_sources.keys() == {"built in"}


def test_a_large_model_writes_only_where_it_is_told_to(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "MOST_WEIGHTS", 1000)

    without = fitted(source, tmp_path / "without.gguf")
    told_to = fitted(source, tmp_path / "out.gguf", self_written=True)

    assert without.calibration_sources.keys() == {"built in"}
    assert told_to.calibration_sources.keys() == {"built in", "generated"}


def test_what_has_few_bits_writes_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", SHAPE, fmt="Q4_0")
    monkeypatch.setattr(calibrating, "import_checkpoint", None)

    report = fitted(source, tmp_path / "out.gguf")

    assert "generated" in report.calibration_sources


KILLED = """
import os, sys
from aboard.quantize import calibration
few = calibration.documents()[:14]
calibration.documents, calibration.conversations = lambda: few, tuple
from aboard.fitting import Budget, quantize_checkpoint
def progress(stage, done, total):
    if stage == sys.argv[3] and done > total / 2:
        os._exit(9)
budget = Budget(format="q8_0")
more = {"n_tokens": int(sys.argv[4]), "threads": 1}
quantize_checkpoint(sys.argv[1], sys.argv[2], budget, progress=progress, **more)
"""


@pytest.mark.parametrize("stage", ["write", "quantize"])
def test_a_killed_run_writes_nothing_twice(stage: str, source: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.gguf", tmp_path / "out.gguf"
    fitted(source, whole)
    arguments = [str(source), str(out), stage, str(N_TOKENS)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    steps: list[tuple[str, int, int]] = []

    fitted(source, out, progress=lambda *at: steps.append(at))

    assert out.read_bytes() == whole.read_bytes()
    n_new = sum(name == "write" for name, *_ in steps)
    if stage == "quantize":
        assert n_new == 0
    else:
        first = next(done for name, done, _ in steps if name == "write")
        assert first > 0  # what was kept comes at once
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gguf", "whole.gguf"]


def test_the_file_carries_runs_of_what_was_written(source: Path, tmp_path: Path) -> None:
    fitted(source, tmp_path / "out.gguf")
    fitted(source, tmp_path / "without.gguf", self_written=False)

    with open_gguf(tmp_path / "out.gguf") as own, open_gguf(tmp_path / "without.gguf") as other:
        runs = [file.metadata["aboard.calibration.runs"] for file in (own, other)]
    assert runs[0] > runs[1]
