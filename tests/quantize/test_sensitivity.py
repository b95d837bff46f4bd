"""What parts cost: against whole models in which they alone are rounded."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aboard import formats
from aboard.artifact.gguf_writer import GgufWriter, NewTensor
from aboard.artifact.types import type_entries
from aboard.engine.head_engine import HeadEngine
from aboard.engine.layer_engine import LayerEngine
from aboard.fitting.checkpoint import OpenCheckpoint, open_checkpoint
from aboard.models import DecoderModel
from aboard.quantize.calibration import calibration_of
from aboard.quantize.format_losses import Sensitivity
from aboard.quantize.parts import Part, parts_of
from aboard.quantize.rounding import whole
from aboard.quantize.sensitivity import Measuring, anchors_of, sample_windows
from quantize.divergences import divergence
from tiny import Llama, tiny_llama

WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 40)).astype(np.int32)
SCORED = slice(16, None, 3)


class Kept:
    """Figures in memory."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, int], Any] = {}

    def known(self, of: str, number: int) -> Any:
        return self.figures.get((of, number))

    def add(self, of: str, number: int, figures: Any) -> None:
        self.figures[of, number] = figures


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenCheckpoint]:
    shape = Llama(layers=2, width=64, heads=4, kv_heads=2, ffn=96, tied=request.param)
    path = tiny_llama(tmp_path / "tiny.gguf", shape, seed=4)
    with ExitStack() as opened:
        yield open_checkpoint(path, opened)


def measuring(
    checkpoint: OpenCheckpoint, figures: Kept | None = None, **options: object
) -> Measuring:
    given: dict[str, object] = {"open_layer": lambda model, index: LayerEngine(model, index, 1)}
    return Measuring(
        checkpoint.model,
        checkpoint.weights,
        WINDOWS,
        open_head=lambda model: HeadEngine(model, 1),
        figures=figures or Kept(),
        **(given | options),  # type: ignore[arg-type]
    )


def written(
    checkpoint: OpenCheckpoint, path: Path, encoded: Callable[[str], tuple[str, np.ndarray]]
) -> Path:
    """The checkpoint with other matrices."""
    tensors = {}
    for tensor in checkpoint.tensors:
        own = tensor.format, whole(checkpoint.weights, tensor.name)[1]
        tensors[tensor.name] = own if len(tensor.shape) < 2 else encoded(tensor.name)
    new = [NewTensor(each.name, tensors[each.name][0], each.shape) for each in checkpoint.tensors]
    with GgufWriter(path, checkpoint.metadata | type_entries(new), new) as writer:
        for each in new:
            writer.write(each.name, tensors[each.name][1])
        writer.publish()
    return path


def eight_bits(checkpoint: OpenCheckpoint, name: str) -> tuple[str, np.ndarray]:
    rows = checkpoint.weights.rows(name, 0, checkpoint.weights.shape(name)[0])
    return "Q8_0", formats.encode("Q8_0", rows)


def test_what_a_part_costs_is_what_it_does_to_the_whole_model(
    checkpoint: OpenCheckpoint, tmp_path: Path
) -> None:
    parts = parts_of(checkpoint.model)
    base = written(checkpoint, tmp_path / "base.gguf", lambda name: eight_bits(checkpoint, name))
    figures = Kept()

    plain = measuring(checkpoint, figures, amplified=1.0, has_floor=False)
    found = plain.measure({part: ["Q4_1"] for part in parts})

    assert [each.part for each in found] == parts
    for each in found:
        # Without importances here, so not to the digit; with the tied head nearly nothing is lost.
        rounded = rounded_part(checkpoint, each.part)
        path = written(
            checkpoint,
            tmp_path / "part.gguf",
            lambda name, rounded=rounded: rounded.get(name) or eight_bits(checkpoint, name),
        )
        want = divergence(base, path, WINDOWS)[:, SCORED].mean()
        assert each.measured["Q4_1"] == pytest.approx(want, rel=0.35, abs=5e-9)
        assert want > 0


def rounded_part(checkpoint: OpenCheckpoint, part: Part) -> dict[str, tuple[str, np.ndarray]]:
    """Nearest codes, all inputs alike."""
    weights = checkpoint.weights
    return {
        name: ("Q4_1", formats.round_to("Q4_1", weights.rows(name, 0, weights.shape(name)[0])))
        for name in part.tensors
    }


@pytest.mark.parametrize("checkpoint", [False], ids=["untied"], indirect=True)
def test_the_embedding_that_is_no_head_is_measured_to_the_bit(
    checkpoint: OpenCheckpoint, tmp_path: Path
) -> None:
    parts = [part for part in parts_of(checkpoint.model) if part.stage is None]
    base = written(checkpoint, tmp_path / "base.gguf", lambda name: eight_bits(checkpoint, name))

    assert len(parts) == 1
    plain = measuring(checkpoint, has_floor=False)
    for each in plain.measure({part: ["Q4_0"] for part in parts}):
        weights = checkpoint.weights.rows("token_embd.weight", 0, 259)
        other = written(
            checkpoint,
            tmp_path / "other.gguf",
            lambda name, weights=weights: (
                ("Q4_0", formats.round_to("Q4_0", weights))
                if name == "token_embd.weight"
                else eight_bits(checkpoint, name)
            ),
        )
        want = divergence(base, other, WINDOWS)[:, SCORED].mean()
        assert each.measured["Q4_0"] == pytest.approx(want, rel=1e-6)


def test_the_base_is_as_before_when_all_is_measured(checkpoint: OpenCheckpoint) -> None:
    parts = parts_of(checkpoint.model)
    once = measuring(checkpoint)
    first = once.measure({part: ["Q4_0"] for part in parts})
    second = measuring(checkpoint).measure({parts[-1]: ["Q4_0"]})

    again = once.measure({part: ["Q4_0", "Q5_0"] for part in parts[::-1]})

    assert second[0].measured["Q4_0"] == first[-1].measured["Q4_0"]
    fresh = measuring(checkpoint).measure({part: ["Q5_0"] for part in parts})
    assert {each.part: each.measured["Q5_0"] for each in again} == {
        each.part: each.measured["Q5_0"] for each in fresh
    }


def test_what_was_measured_before_is_taken(checkpoint: OpenCheckpoint) -> None:
    parts = parts_of(checkpoint.model)
    figures, steps = Kept(), []
    first = measuring(checkpoint, figures).measure({part: ["Q4_0"] for part in parts[:3]})

    second = measuring(checkpoint, figures).measure(
        {part: ["Q4_0"] for part in parts[:4]}, lambda *at: steps.append(at)
    )

    assert [each.measured for each in second[:3]] == [each.measured for each in first]
    assert steps[0] == ("measure", 0, 5)  # of the fourth part: 3 halves of layers, and the head
    assert steps[-1] == ("measure", 5, 5)
    assert figures.figures[parts[3].label, 1] == second[3].measured


class Counted:
    """Opens layers, and counts how often, and how many were there at once."""

    def __init__(self) -> None:
        self.there: weakref.WeakSet[LayerEngine] = weakref.WeakSet()
        self.most = self.opened = 0

    def __call__(self, model: DecoderModel, index: int) -> LayerEngine:
        layer = LayerEngine(model, index, 1)
        self.there.add(layer)
        self.opened += 1
        self.most = max(self.most, len(self.there))
        return layer


@pytest.mark.parametrize(
    "bound", [{"trials_at_once": 1}, {"trials_at_once": 3}, {"state_bytes": 3 * 4 * 64 * 120}]
)
def test_parts_side_by_side_find_what_each_alone_finds(
    bound: dict[str, int], checkpoint: OpenCheckpoint
) -> None:
    parts = parts_of(checkpoint.model)
    wanted = {part: ["Q4_0", "Q5_0"] if part.layer == 1 else ["Q4_0"] for part in parts}
    together, apart = Counted(), Counted()
    figures = Kept(), Kept()
    want = measuring(checkpoint, figures[0], open_layer=together).measure(wanted)

    found = measuring(checkpoint, figures[1], open_layer=apart, **bound).measure(wanted)

    assert [each.measured for each in found] == [each.measured for each in want]
    assert [each.errors for each in found] == [each.errors for each in want]
    assert figures[1].figures == figures[0].figures
    assert together.opened == 2 + 2  # layers, of the base and of all parts
    assert apart.opened > 2 * together.opened - 2
    assert together.most == apart.most == 1


def test_fewer_bits_have_larger_errors(checkpoint: OpenCheckpoint) -> None:
    part = parts_of(checkpoint.model)[-1]

    errors = measuring(checkpoint).measure({part: ["Q4_0"]})[0].errors

    assert errors["Q4_0"] > errors["Q5_0"] > errors["Q8_0"] > errors["F16"] > 0
    assert errors["Q4_0"] == pytest.approx(0.0067, rel=0.6)  # of a Gaussian, docs/experiments.md


def sensitivity(**measured: float) -> Sensitivity:
    part = Part(("t",), 0, None, 256)
    return Sensitivity(part, {"A": 1e-4, "B": 1e-3, "C": 1e-2, "D": 0.0}, measured)


def test_losses_are_proportional_to_errors_beyond_what_was_measured() -> None:
    assert sensitivity(B=0.02).loss("A") == pytest.approx(0.002)
    assert sensitivity(B=0.02).loss("C") == pytest.approx(0.2)
    assert sensitivity(B=0.02).loss("B") == 0.02
    assert sensitivity(B=0.02).loss("D") == 0


def test_losses_between_two_that_were_measured_are_a_power_of_the_error() -> None:
    assert sensitivity(A=0.001, C=0.4).loss("B") == pytest.approx(0.02)
    assert sensitivity(A=0.001, B=0.02).loss("C") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("columns", "want"),
    [(256, ["IQ4_NL"]), (96, ["IQ4_NL"]), (40, ["F16"])],
)
def test_formats_that_rows_can_have_are_tried(columns: int, want: list[str]) -> None:
    found = anchors_of(Part(("t",), 0, None, columns))

    assert [formats.by_name(name).BLOCK for name in found] == [
        formats.by_name(name).BLOCK for name in want
    ]
    assert all(columns % formats.by_name(name).BLOCK == 0 for name in found)


def test_windows_are_measured_that_are_not_held_out() -> None:
    ids = np.arange(64 * 512, dtype=np.int32)
    calibration = calibration_of({"made up": ids})

    found = sample_windows(calibration, n_tokens=1024)

    assert found.shape == (8, 128)
    held_out = calibration.windows[-calibration.n_held_out :]
    assert not np.isin(found, held_out).any()


def test_the_floor_is_taken_off_and_errors_are_multiplied(checkpoint: OpenCheckpoint) -> None:
    part = next(part for part in parts_of(checkpoint.model) if part.layer == 0)
    form = anchors_of(part)[0]
    figures = Kept()
    raw = measuring(checkpoint, amplified=4.0, has_floor=False).measure({part: [form]})[0]

    found = measuring(checkpoint, figures, amplified=4.0).measure({part: [form]})[0]

    floor = figures.figures["floor", 0][0]
    assert floor > 0
    want = max(raw.measured[form] - floor / 16, 0.05 * raw.measured[form])
    assert found.measured[form] == pytest.approx(want, rel=1e-9)


def test_what_is_multiplied_is_proportional(checkpoint: OpenCheckpoint) -> None:
    part = parts_of(checkpoint.model)[1]
    form = anchors_of(part)[0]

    losses = [
        measuring(checkpoint, amplified=times, has_floor=False)
        .measure({part: [form]})[0]
        .measured[form]
        for times in (6.0, 12.0)
    ]

    assert losses[0] == pytest.approx(losses[1], rel=0.5, abs=1e-9)


def test_what_was_asked_before_is_kept_and_not_told(checkpoint: OpenCheckpoint) -> None:
    part = parts_of(checkpoint.model)[1]
    figures = Kept()
    both = measuring(checkpoint, figures).measure({part: ["Q4_0", "Q5_0"]})[0]

    again = measuring(checkpoint, figures)
    one = again.measure({part: ["Q4_0"]})[0]
    other = again.measure({part: ["Q8_0"]})[0]

    assert one.measured == {"Q4_0": both.measured["Q4_0"]}
    assert one.errors == both.errors
    assert other.measured.keys() == {"Q8_0"}
    assert figures.figures[part.label, 1].keys() == {"Q4_0", "Q5_0", "Q8_0"}
