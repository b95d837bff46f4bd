"""Checkpoints fitted to budgets: bytes to the byte, bits where they count, on after a kill."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import aboard
from aboard.artifact import gguf_source
from aboard.artifact.gguf_writer import GgufWriter
from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import ArtifactError, CorruptTensor, UnsupportedFile, UsageError
from aboard.fitting import Budget, QuantizedCheckpoint, choosing, quantize_checkpoint
from aboard.fitting.checkpoint import imported_beside
from aboard.overlap import sample_of_metadata
from aboard.quantize import quantizing
from aboard.quantize.calibration import calibrate
from aboard.quantize.parts import Part
from aboard.quantize.rounding import Source
from aboard.quantize.trials import Trial, Trials
from artifact.folders import tiny_weights, write_folder
from engine.made import made, with_value
from quantize.divergences import divergence
from tiny import Llama, tiny_llama
from tiny_encoders import TinyBert, bert_folder

SHAPE = Llama(layers=2, width=64, heads=4, kv_heads=2, ffn=96)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("source") / "tiny.gguf", SHAPE, seed=4)


def fitted(source: Path, out: Path, budget: Budget, **options: object) -> QuantizedCheckpoint:
    given: dict[str, object] = {"n_tokens": 4096, "threads": 1}
    return quantize_checkpoint(source, out, budget, **(given | options))  # type: ignore[arg-type]


def test_a_file_is_as_large_as_was_said_and_tells_how_it_was_made(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.gguf"

    report = fitted(source, out, Budget(bits=9))

    assert report.budget_bytes is not None
    assert 0.95 * report.budget_bytes < report.size_bytes <= report.budget_bytes
    assert report.size_bytes == out.stat().st_size
    reader = gguf.GGUFReader(out)
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert {each.name: each.format for each in report.tensors} == {
        name: kind for name, kind in types.items() if kind != "F32"
    }
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.quantized_by"] == "Aboard"
    assert fields["aboard.quantize.allocation"] == "measured divergence"
    assert fields["aboard.quantize.source_sha256"] == report.source_sha256
    assert fields["aboard.quantize.calibration_sha256"] == report.calibration_sha256
    assert list(tmp_path.iterdir()) == [out]
    with open_gguf(out) as file:
        assert sample_of_metadata(file.metadata) is not None


def test_the_measured_divergence_is_that_of_the_whole_models(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    report = fitted(source, out, Budget(bits=7))
    held_out = held_out_windows(source)

    want = divergence(source, out, held_out)

    assert report.measured_kl == pytest.approx(want.mean(), rel=1e-5)
    assert report.n_tokens == held_out.size
    assert report.predicted_kl is not None
    assert 0.2 < want.mean() / report.predicted_kl < 5


def held_out_windows(source: Path) -> np.ndarray:
    model = aboard.load(source)
    found = calibrate(model.tokenizer, model.chat_template, n_tokens=4096)
    return found.windows[-found.n_held_out :]


def test_the_smallest_file_is_possible_and_nothing_below_it(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    with pytest.raises(UsageError, match="no file of 1,000 bytes is possible: the smallest has"):
        fitted(source, out, Budget(size_bytes=1000))
    smallest = fitted(source, out, Budget(bits=9)).smallest_bytes

    report = fitted(source, out, Budget(size_bytes=smallest))

    assert report.size_bytes == smallest == out.stat().st_size
    with pytest.raises(UsageError, match=f"the smallest has {smallest:,} bytes"):
        fitted(source, out, Budget(size_bytes=smallest - 1))


def test_bits_go_to_the_part_that_counts(tmp_path: Path) -> None:
    source = changed(tmp_path / "loud.gguf", "blk.1.ffn_down.weight", 12)

    report = fitted(source, tmp_path / "out.gguf", Budget(bits=8))

    bits = {each.name: 8 * each.size_bytes for each in report.tensors}
    shapes = {tensor.name: tensor.n_elements for tensor in gguf.GGUFReader(source).tensors}
    per_weight = {name: bits[name] / int(shapes[name]) for name in bits}
    assert per_weight["blk.1.ffn_down.weight"] == max(
        per_weight[name] for name in per_weight if name.startswith("blk.")
    )
    assert per_weight["blk.1.ffn_down.weight"] > per_weight["blk.0.ffn_down.weight"]


def changed(path: Path, name: str, factor: float) -> Path:
    """A tiny model one matrix of which is multiplied."""
    plain = tiny_llama(path.with_suffix(".plain.gguf"), SHAPE, seed=4)
    with ExitStack() as opened:
        file, _, metadata, streams = gguf_source.read(plain, None, opened)
        new = [stream.tensor for stream in streams]
        with GgufWriter(path, metadata, new) as writer:
            for tensor in new:
                raw = np.empty(file.tensors[tensor.name].size_bytes, np.uint8)
                file.read_into(tensor.name, raw, 0)
                times = factor if tensor.name == name else 1
                writer.write(tensor.name, raw.view("<f4") * np.float32(times))
            writer.publish()
    return path


def test_one_format_for_all(source: Path, tmp_path: Path) -> None:
    report = fitted(source, tmp_path / "out.gguf", Budget(format="q4_k"))

    formats = {each.name: each.format for each in report.tensors}
    assert formats.pop("output.weight") == "Q8_0"
    assert set(formats.values()) == {"Q4_1"}  # rows of 64 and 96
    assert report.predicted_kl is None


def test_matrices_on_a_grid_are_kept_to_the_bit(source: Path, tmp_path: Path) -> None:
    on_grid, floats = tmp_path / "grid.gguf", tmp_path / "floats.gguf"
    import_checkpoint(source, on_grid, type="q4_0")
    import_checkpoint(on_grid, floats, type="f32")

    report = fitted(floats, tmp_path / "out.gguf", Budget(bits=9))

    before = {tensor.name: tensor for tensor in gguf.GGUFReader(on_grid).tensors}
    for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors:
        if tensor.tensor_type.name == "Q4_0":
            assert decoded(tensor).tobytes() == decoded(before[tensor.name]).tobytes()
    assert all(each.exact for each in report.tensors)
    assert report.measured_kl == 0
    assert "lie on the grid of Q4_0, Q8_0 already and are kept to the bit" in report.notes[0]


def decoded(tensor: gguf.ReaderTensor) -> np.ndarray:
    return gguf.dequantize(tensor.data, tensor.tensor_type) + np.float32(0)  # no zeros below 0


KILLED = """
import os, sys
from aboard.fitting import Budget, quantize_checkpoint
seen = []
def progress(stage, done, total):
    seen.append(stage)
    if seen.count(sys.argv[3]) == int(sys.argv[4]):
        os._exit(9)
options = {'n_tokens': 4096, 'threads': 1, 'progress': progress}
quantize_checkpoint(sys.argv[1], sys.argv[2], Budget(bits=7), **options)
"""


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by each part that is tried and each matrix that is rounded."""
    found: list[str] = []
    of_layer, round_tensors = Trials.of_layer, quantizing.round_tensors

    def tried(self: Trials, part: Part, *given: Any) -> Trial:
        found.append(f"try {part.label}")
        return of_layer(self, part, *given)

    def rounded(source: Source, wanted: dict[str, str], *given: Any, **more: Any) -> Any:
        found.extend(f"round {name}" for name in wanted)
        return round_tensors(source, wanted, *given, **more)

    monkeypatch.setattr(Trials, "of_layer", tried)
    monkeypatch.setattr(quantizing, "round_tensors", rounded)
    return found


@pytest.mark.parametrize(("stage", "after"), [("measure", 8), ("quantize", 5)])
def test_a_run_goes_on_where_one_was_killed(
    stage: str, after: int, source: Path, tmp_path: Path, computed: list[str]
) -> None:
    whole, out = tmp_path / "whole.gguf", tmp_path / "out.gguf"
    fitted(source, whole, Budget(bits=7))
    every = {*computed}
    computed.clear()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(out), stage, str(after)], check=False
    )
    assert killed.returncode == 9
    assert not out.exists()

    fitted(source, out, Budget(bits=7))

    assert out.read_bytes() == whole.read_bytes()
    assert {*computed} < every
    spared = {each.split()[0] for each in every - {*computed}}
    assert spared == ({"try"} if stage == "measure" else {"try", "round"})
    if stage == "quantize":
        assert not [each for each in computed if each.startswith("try")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gguf", "whole.gguf"]


def test_what_was_measured_for_another_budget_changes_no_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "_DOMINATES", 0.5)  # many parts are measured again
    measured = tmp_path / "measured"
    alone, second = tmp_path / "alone.gguf", tmp_path / "second.gguf"
    fitted(source, tmp_path / "first.gguf", Budget(bits=6), measured=measured)
    want = fitted(source, alone, Budget(bits=8))

    found = fitted(source, second, Budget(bits=8), measured=measured)

    assert second.read_bytes() == alone.read_bytes()
    assert found.parts == want.parts
    assert any(len(each.measured) > 1 for each in want.parts)


def test_what_killed_runs_left_is_gone_once_the_file_is_there(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    foreign = [".out.gguf.notes", ".out.gguf", "out.gguf.measured", ".other.gguf.measured"]
    left = [
        *(".out.gguf.measured", ".out.gguf.written", f".out.gguf.{'0a' * 8}.gguf"),
        *(f".out.gguf.{'0a' * 6}.try", f"..out.gguf.{'0a' * 6}.try.part"),
    ]
    for name in (*foreign, *left):
        (tmp_path / name).write_text("\n")
    for name in (f"..out.gguf.{'0a' * 6}.try.quantize", ".out.gguf.quantize"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text("another's")

    fitted(source, out, Budget(format="q8_0"))

    assert {path.name for path in tmp_path.iterdir()} == {"out.gguf", *foreign}


@pytest.mark.parametrize("name", [".", "gone/out.gguf", "folder"])
def test_a_place_that_holds_no_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model")
    (tmp_path / "folder").mkdir()
    stages: list[str] = []

    with pytest.raises(ArtifactError, match="no file can be written there"):
        fitted(
            folder, tmp_path / name, Budget(bits=8), progress=lambda name, *_: stages.append(name)
        )

    assert stages == []


def test_a_folder_is_imported_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model")
    out = tmp_path / "out.gguf"

    report = fitted(folder, out, Budget(bits=8))

    assert report.size_bytes == out.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-model", "out.gguf"]


@pytest.mark.parametrize("was_killed", [False, True])
def test_nothing_is_left_of_a_folder_that_no_file_can_be_made_of(
    was_killed: bool, tmp_path: Path
) -> None:
    weights = tiny_weights()
    weights["model.layers.1.mlp.up_proj.weight"][3, 2] = 7e4
    folder, out = write_folder(tmp_path / "my-model", weights), tmp_path / "out.gguf"
    if was_killed:
        import_checkpoint(folder, imported_beside(folder, out))

    with pytest.raises(CorruptTensor, match=r"my-model: tensor .* is 70000"):
        fitted(folder, out, Budget(bits=8))

    assert [path.name for path in tmp_path.iterdir()] == ["my-model"]


def test_a_text_that_is_missing_is_told_before_a_folder_is_imported(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model")
    stages: list[str] = []

    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        fitted(
            folder,
            tmp_path / "out.gguf",
            Budget(bits=8),
            texts=[tmp_path / "gone.txt"],
            progress=lambda name, *_: stages.append(name),
        )

    assert stages == []
    assert [path.name for path in tmp_path.iterdir()] == ["my-model"]


def test_a_folder_that_took_the_place_of_another_is_imported_anew(tmp_path: Path) -> None:
    first, second = (write_folder(tmp_path / name / "m") for name in ("first", "second"))
    out = tmp_path / "out.gguf"
    for folder in (first, second):
        for file in folder.iterdir():
            os.utime(file, ns=(10**18, 10**18))

    assert imported_beside(first, out) != imported_beside(second, out)
    assert imported_beside(first, out) == imported_beside(first / "model.safetensors", out)


def test_what_a_file_is_made_of_is_not_replaced(source: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    link = tmp_path / "link.gguf"
    link.symlink_to(source)

    for checkpoint, out in (
        (source, source),
        (source, link),
        (folder, folder / "model.safetensors"),
        (folder / "model.safetensors", folder / "config.json"),
    ):
        before = out.read_bytes()
        with pytest.raises(ArtifactError, match=r"is the checkpoint itself|is a file of the check"):
            fitted(checkpoint, out, Budget(bits=7))
        assert out.read_bytes() == before


def test_a_text_that_is_too_short_is_refused(source: Path, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Too short.")

    with pytest.raises(UsageError, match=r"short\.txt: the calibration text has 10 tokens"):
        fitted(source, tmp_path / "out.gguf", Budget(bits=7), texts=[text])


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bert.gguf"
    import_checkpoint(bert_folder(tmp_path / "bert", TinyBert()), path)

    with pytest.raises(UnsupportedFile, match="is an encoder"):
        fitted(path, tmp_path / "out.gguf", Budget(bits=7))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.nan, "is nan, expected a finite number"),
        (np.inf, "is inf, expected a finite number"),
        (-1e20, "is -1e+20, expected at most 65504 to either side of 0: float16, as which"),
        (7e4, "is 70000, expected at most 65504"),
    ],
)
@pytest.mark.parametrize("budget", [Budget(bits=7), Budget(format="q4_0")], ids=["bits", "format"])
def test_a_weight_that_no_file_can_hold_is_named_before_anything_is_measured(
    value: float, told: str, budget: Budget, tmp_path: Path
) -> None:
    change = with_value("blk.0.ffn_up.weight", (47, 3), value)
    path = made(tmp_path / "tiny.gguf", change=change)
    stages: list[str] = []

    with pytest.raises(CorruptTensor) as caught:
        fitted(path, tmp_path / "out.gguf", budget, progress=lambda name, *_: stages.append(name))

    assert f"{path}: tensor 'blk.0.ffn_up.weight': the weight at [47, 3] {told}" in str(
        caught.value
    )
    assert caught.value.hint
    assert stages == []
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_large_weight_that_blocks_hold_is_rounded(tmp_path: Path) -> None:
    change = with_value("blk.0.ffn_up.weight", (47, 3), 6e4)
    path = made(tmp_path / "tiny.gguf", change=change)

    report = fitted(path, tmp_path / "out.gguf", Budget(format="q4_1"))

    assert np.isfinite(report.measured_kl)


def test_budgets_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        UsageError, match="a budget of bytes and of bits a weight, expected one of them"
    ):
        Budget(size_bytes=10, bits=4)


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_a_loss_is_a_positive_number(loss: float) -> None:
    with pytest.raises(UsageError, match="expected a positive number"):
        Budget(loss=loss)
