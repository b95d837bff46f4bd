"""Files that fit a device, as the loaded model and its plan say; or none, and what would fit."""

import re
from pathlib import Path

import pytest

import aboard
from aboard.errors import UsageError
from aboard.fitting import Budget, QuantizedCheckpoint, quantize_checkpoint
from aboard.planning import Room, plan, room_for_weights
from artifact.folders import write_folder
from planning.devices import laptop
from tiny import Llama, tiny_llama
from tiny_families import Tiny, tiny_model

# The weights of this take 3.5 MB at 8 bits; memory is granted by pages of 2 MB.
SHAPE = Llama(layers=2, width=256, heads=4, kv_heads=2, ffn=512, vocabulary=4096)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("source") / "tiny.gguf", SHAPE, seed=4)


def room_with(source: Path, weights_bytes: int) -> Room:
    """A device that leaves so many bytes."""
    beside = room_for_weights(source, laptop()).beside_bytes
    return room_for_weights(source, laptop(available_bytes=beside + weights_bytes), name="laptop")


def fitted(source: Path, out: Path, room: Room, **options: object) -> QuantizedCheckpoint:
    given: dict[str, object] = {"n_tokens": 1024, "threads": 1}
    return quantize_checkpoint(
        source,
        out,
        Budget(room=room),
        **(given | options),  # type: ignore[arg-type]
    )


def test_the_loaded_weights_fill_what_a_device_leaves(source: Path, tmp_path: Path) -> None:
    out, room = tmp_path / "out.gguf", room_with(source, 2 << 20)

    report = fitted(source, out, room)

    loaded = aboard.load(out).weights_bytes
    assert report.memory_bytes == loaded
    assert 0.95 * room.weights_bytes < loaded <= room.weights_bytes == 2 << 20
    assert report.budget_memory_bytes == room.weights_bytes
    assert report.budget_bytes is None
    there = plan(out, room.device, context=room.context).candidates[0]
    assert there.fits
    assert there.margin_bytes < 64 << 10
    assert report.notes[-1].startswith("on laptop, for a context of 1,024 tokens with keys and val")


def test_where_there_is_room_for_eight_bits_nothing_is_measured(
    source: Path, tmp_path: Path
) -> None:
    stages: list[str] = []

    report = fitted(
        source,
        tmp_path / "out.gguf",
        room_with(source, 100 << 20),
        progress=lambda stage, *_: stages.append(stage),
    )

    assert {each.format for each in report.tensors} == {"Q8_0"}
    assert "measure" not in stages
    assert report.parts == ()


def test_what_has_fewer_bits_already_stays_as_it_is(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0")

    report = fitted(source, tmp_path / "out.gguf", room_with(source, 100 << 20))

    assert {each.format for each in report.tensors} == {"Q4_0"}
    assert report.measured_kl == 0


def test_tensors_of_several_matrices_are_counted_as_they_are_packed(tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "tiny.gguf", Tiny("phi3", width=64, heads=4, kv_heads=4))

    report = fitted(source, tmp_path / "out.gguf", room_with(source, 2 << 20))

    assert report.memory_bytes == aboard.load(tmp_path / "out.gguf").weights_bytes


def test_a_device_that_is_too_small_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model")
    room = room_with(folder, 0)
    stages: list[str] = []

    with pytest.raises(
        UsageError, match=r"no file fits laptop: it has .* MB for the model"
    ) as told:
        fitted(
            folder,
            tmp_path / "out.gguf",
            room,
            progress=lambda stage, *_: stages.append(stage),
        )

    assert told.value.hint
    assert "measure" not in stages
    has, beside, weights, lack = map(float, re.findall(r"([0-9.]+) MB", str(told.value)))
    assert beside + weights - has == pytest.approx(lack, abs=0.21)  # of numbers with one decimal
    assert [each.name for each in tmp_path.iterdir()] == ["my-model"]


def test_a_budget_that_nothing_fits_leaves_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my-model")

    with pytest.raises(UsageError, match="no file of 1,000 bytes is possible"):
        quantize_checkpoint(folder, tmp_path / "out.gguf", Budget(size_bytes=1000), n_tokens=2048)

    assert [each.name for each in tmp_path.iterdir()] == ["my-model"]
