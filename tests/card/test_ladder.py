"""All sizes of a model in one run: made, compared, kept, told of on a card."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from aboard.artifact.importing import import_checkpoint
from aboard.card import climbing
from aboard.card.climb import Climb
from aboard.card.ladder import ladder
from aboard.errors import ArtifactError, CheckpointError, UsageError
from aboard.evaluate import evaluate
from aboard.planning import room_for_weights
from planning.devices import LAPTOP
from tiny_mixed import mixed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def climb(tmp_path: Path) -> Climb:
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(1500)))
    source = mixed(tmp_path / "source.gguf", 0.0)
    return Climb(
        source=source, folder=tmp_path / "ladder", text=(text,), n_tokens=1024, window=32, threads=1
    )


def test_a_format_costs_what_import_and_eval_find(climb: Climb, tmp_path: Path) -> None:
    card = ladder(climb, "q8_0,q4_0")

    made = tmp_path / "q4_0.gguf"
    import_checkpoint(climb.source, made, type="q4_0")
    found = evaluate(made, against=climb.source, text=climb.text, window=32)
    assert found.text is not None
    rung = card.ladder[1]
    assert (rung.name, rung.way, rung.size_bytes) == ("Q4_0", "plain", made.stat().st_size)
    assert rung.weights_sha256 == found.model.weights_sha256
    assert rung.kl_mean == found.as_dict()["kl_mean"]
    assert rung.kl_ci95 == found.as_dict()["kl_ci95"]
    assert rung.weights_by_format.keys() == {"Q4_0", "Q8_0"}  # the head keeps eight bits
    assert card.ladder[0].kl_mean < rung.kl_mean / 10


def test_a_budget_is_kept_and_the_parts_that_cost_most_are_told(climb: Climb) -> None:
    card = ladder(climb, "6.5,9")

    small, large = card.ladder
    assert (small.name, small.way) == ("6.5 bits", "fitted")
    assert small.bits_per_weight <= 6.5 < large.bits_per_weight <= 9
    assert large.kl_mean < small.kl_mean
    tensors = [name for part in card.sensitivities for name in part.tensors]
    assert {"token_embd.weight", "blk.1.ffn_down.weight", "output.weight"} <= set(tensors)


def test_an_impossible_budget_is_told_and_the_others_are_made(climb: Climb) -> None:
    card = ladder(climb, "2,q8_0")

    assert [each.name for each in card.ladder] == ["Q8_0"]
    assert any(note.startswith("2 bits can't be made: no file of ") for note in card.notes)


@pytest.mark.parametrize("name", ["gone.gguf", "gone"])
def test_a_missing_source_is_a_clear_error(climb: Climb, name: str) -> None:
    with pytest.raises(CheckpointError, match="gone"):
        ladder(replace(climb, source=climb.folder.with_name(name)), "q4_0")

    assert not climb.folder.exists()


def test_where_all_budgets_are_impossible_the_error_says_so(climb: Climb) -> None:
    with pytest.raises(UsageError, match="the smallest has"):
        ladder(climb, "2")


def test_what_is_finished_is_not_made_again(climb: Climb, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ladder(climb, "q8_0,q4_0")
    page, told = (climb.folder / name for name in ("card.html", "card.json"))
    before = page.read_bytes(), told.read_bytes()
    monkeypatch.setattr(climbing, "evaluate_together", None)
    monkeypatch.setattr(climbing, "make", None)

    again = ladder(climb, "q8_0,q4_0")

    assert again == first
    assert (page.read_bytes(), told.read_bytes()) == before


@pytest.mark.parametrize(
    ("killed_at", "left"),
    [
        ("Q8_0, 1 of 2", ["make", "make", "evaluate 2"]),
        ("Q4_0, 2 of 2", ["make", "evaluate 2"]),
        ("Q8_0: ", []),
    ],
)
def test_a_killed_run_goes_on_where_it_was(
    killed_at: str, left: list[str], climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(line: str) -> None:
        if line.startswith(killed_at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ladder(climb, "q8_0,q4_0", announce=killed)
    done: list[str] = []
    make, together = climbing.make, climbing.evaluate_together
    monkeypatch.setattr(
        climbing, "make", lambda *given, **more: done.append("make") or make(*given, **more)
    )
    monkeypatch.setattr(
        climbing,
        "evaluate_together",
        lambda files, **more: done.append(f"evaluate {len(files)}") or together(files, **more),
    )

    card = ladder(climb, "q8_0,q4_0")

    assert done == left
    assert [each.name for each in card.ladder] == ["Q8_0", "Q4_0"]
    assert card.notes == ladder(replace(climb, folder=climb.folder / "again"), "q8_0,q4_0").notes


@pytest.mark.parametrize("killed_at", ["Q4_0, 2 of 2", "6.5 bits: "])
def test_a_killed_run_loses_nothing_that_was_measured(killed_at: str, climb: Climb) -> None:
    def killed(line: str) -> None:
        if line.startswith(killed_at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ladder(climb, "6.5,q4_0", announce=killed)

    card = ladder(climb, "6.5,q4_0")

    whole = ladder(replace(climb, folder=climb.folder.with_name("whole")), "6.5,q4_0")
    assert card.sensitivities == whole.sensitivities
    assert len(card.sensitivities) > 8
    assert card.hashes == whole.hashes
    assert not [each for each in climb.folder.iterdir() if each.suffix in (".made", ".gguf")]


def test_sizes_are_evaluated_together_as_far_as_memory_goes(
    climb: Climb, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = ladder(climb, "q8_0,q4_0,q5_0")
    groups: list[int] = []
    plain = climbing.evaluate_together
    monkeypatch.setattr(climbing, "_free_bytes", lambda: 0.0)
    monkeypatch.setattr(
        climbing,
        "evaluate_together",
        lambda files, **more: groups.append(len(files)) or plain(files, **more),
    )

    apart = ladder(replace(climb, folder=climb.folder / "apart"), "q8_0,q4_0,q5_0")

    assert groups == [1, 1, 1]
    assert apart.ladder == together.ladder


def test_what_fits_a_device_is_one_size_more(climb: Climb) -> None:
    room = room_for_weights(climb.source, LAPTOP, name="laptop.json", users=2)

    card = ladder(replace(climb, room=room), "q4_0")

    fits = card.ladder[1]
    assert (fits.name, fits.way) == ("fits laptop.json", "fitted")
    assert fits.weights_by_format.keys() == {"Q8_0"}
    assert shlex.split(fits.command)[:6] == [
        *("aboard", "quantize", str(climb.source), "--fit", "laptop.json", "--users")
    ]
    assert "--fit laptop.json --users 2" in card.commands[0]
    assert "on laptop.json, for 2 contexts of" in fits.note


def test_another_text_is_evaluated_anew(climb: Climb, tmp_path: Path) -> None:
    first = ladder(climb, "q4_0")
    text = tmp_path / "other.txt"
    text.write_text("".join(chr(97 + i * i % 19) for i in range(1500)))

    second = ladder(replace(climb, text=(text,)), "q4_0")

    assert second.ladder[0].kl_mean != first.ladder[0].kl_mean


def test_the_text_that_sizes_are_made_on_is_refused_before_anything_is_measured(
    climb: Climb,
) -> None:
    with pytest.raises(UsageError, match="would flatter"):
        ladder(replace(climb, calibration=climb.text), "q4_0")

    assert not climb.folder.exists()


def test_files_stay_only_where_asked(climb: Climb) -> None:
    ladder(climb, "q4_0")
    gone = list(climb.folder.glob("*.gguf"))

    ladder(replace(climb, keep=True), "q4_0")

    assert gone == []
    assert [each.name for each in climb.folder.glob("**/*.gguf")] == ["q4_0.gguf"]


def test_the_json_has_what_the_card_shows(climb: Climb) -> None:
    card = ladder(climb, "q8_0,q4_0")

    found = json.loads((climb.folder / "card.json").read_text())
    assert found == json.loads(json.dumps(card.as_dict()))
    assert [each["kl_mean"] for each in found["ladder"]] == [each.kl_mean for each in card.ladder]
    assert found["commands"][0].startswith("aboard ladder ")
    assert found["commands"][2].endswith("--type q4_0 -o q4_0.gguf")
    assert found["hashes"]["Source's weights"] == found["hashes"]["Source's weights"].lower()


def test_a_folder_that_is_a_file_is_refused(climb: Climb) -> None:
    with pytest.raises(ArtifactError, match="can't be made"):
        ladder(replace(climb, folder=climb.source), "q4_0")
