"""The smallest file within a loss: found among all there are; or the checkpoint as it is."""

import math
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aboard.artifact.quantized import Quantized
from aboard.evaluate.unfinished import Unfinished
from aboard.fitting import Budget, quantize_checkpoint
from aboard.fitting.choosing import Choice
from aboard.fitting.searching import MOST_TRIES, smallest_within_loss
from aboard.fitting.task import Compared
from aboard.quantize.allocation import Option
from aboard.quantize.rounding import Method
from tiny import Llama, tiny_llama

SHAPE = Llama(layers=2, width=64, heads=4, kv_heads=2, ffn=96)
N_FILES = 400


@dataclass
class Files:
    """Files 0 to 400, the larger the smaller, as a checkpoint's; file 0 has its own types.

    Parts of file i cost 1e-4 * `step`^i by themselves, and the whole file `law` of that.
    """

    law: Any
    floor: float = 1e-4
    step: float = 1.03

    def cost(self, number: int) -> float:
        return 1e-4 * self.step**number if number else 0.0

    def within_loss(self, limit: float) -> Choice:
        number = max(i for i in range(N_FILES + 1) if self.cost(i) <= limit)
        formats = {"a": str(number)} if number else {}
        return Choice(
            assignment=formats,
            found=[],
            options=[Option(str(number), 1000 - number, self.cost(number))],
            floor=self.floor,
        )

    def measured(self, number: int) -> float:
        return self.law(self.cost(number)) if number else 0.0

    def best(self, wanted: float) -> int:
        return max(i for i in range(N_FILES + 1) if self.measured(i) <= wanted)


class Task:
    """Writes the number of a file, and knows what it loses."""

    method = Method()

    def __init__(self, out: Path, files: Files, wanted: float) -> None:
        self.out, self.files, self.budget = out, files, SimpleNamespace(loss=wanted)
        self.made: list[int] = []

    def quantize(self, assignment: dict[str, str], out: Path, stage: str = "") -> Quantized:
        number = int(assignment.get("a", "0"))
        self.made.append(number)
        out.write_text(str(number))
        return Quantized(
            path=str(out), source="", size_bytes=1000 - number, bits_per_weight=1.0, roundings=()
        )

    def compare(self, out: Path, stage: str = "") -> Compared:
        return Compared(by_window=np.array([self.files.measured(int(out.read_text()))]), n_tokens=8)


LAWS = {
    "as foreseen": lambda cost: cost,
    "half of it": lambda cost: 0.5 * cost,
    "thrice": lambda cost: 3 * cost,
    "a power": lambda cost: 2 * cost**1.3,
    "a floor": lambda cost: 1e-3 + 0.4 * cost,
    "with jumps": lambda cost: cost * (1 + 0.1 * math.sin(1e4 * cost)),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("wanted", [3e-3, 0.02, 0.3])
def test_the_smallest_of_all_files_is_nearly_found(law: Any, wanted: float, tmp_path: Path) -> None:
    files = Files(law)
    task = Task(tmp_path / "out.gguf", files, wanted)

    with Unfinished(None, "") as figures:
        found, n_tries = smallest_within_loss(task, files, figures)  # type: ignore[arg-type]

    number = int(task.out.read_text())
    assert files.measured(number) == found.compared.mean <= wanted
    assert files.best(wanted) - number <= 6  # 0.6 % of the bytes
    assert n_tries <= MOST_TRIES
    assert [each.name for each in tmp_path.iterdir()] == ["out.gguf"]
    assert found.made.path == str(task.out)


@pytest.mark.parametrize("floor", [1e-4, 0.01], ids=["unforeseen", "foreseen"])
def test_where_any_change_costs_too_much_the_checkpoint_stays(floor: float, tmp_path: Path) -> None:
    files = Files(lambda cost: 6e-3 + cost, floor=floor)
    task = Task(tmp_path / "out.gguf", files, 5e-3)

    with Unfinished(None, "") as figures:
        found, n_tries = smallest_within_loss(task, files, figures)  # type: ignore[arg-type]

    assert found.choice.assignment == {}
    assert task.out.read_text() == "0"
    assert n_tries == len(task.made) <= MOST_TRIES
    assert [each.name for each in tmp_path.iterdir()] == ["out.gguf"]


@pytest.mark.parametrize("over", [1.52, 1.8, 2.1])
def test_of_few_files_a_smaller_one_is_found_behind_one_that_loses_too_much(
    over: float, tmp_path: Path
) -> None:
    files = Files(lambda cost: over * cost, floor=0.0, step=3.0)
    wanted = 1.5 * files.cost(4)  # allowed much more than it costs, file 4 is tried first
    task = Task(tmp_path / "out.gguf", files, wanted)

    with Unfinished(None, "") as figures:
        smallest_within_loss(task, files, figures)  # type: ignore[arg-type]

    assert int(task.out.read_text()) == files.best(wanted) == 3


@pytest.mark.parametrize("killed_at", [2, 3])
def test_no_file_is_tried_twice(killed_at: int, tmp_path: Path) -> None:
    files = Files(LAWS["a power"])
    first = Task(tmp_path / "whole.gguf", files, 0.02)
    kept = tmp_path / "kept"
    with Unfinished(None, "") as figures:
        whole, _ = smallest_within_loss(first, files, figures)  # type: ignore[arg-type]
    assert len(first.made) >= killed_at
    killed = Task(tmp_path / "out.gguf", files, 0.02)

    class Killed(Exception):
        pass

    def quantize(assignment: dict[str, str], out: Path, stage: str = "") -> Quantized:
        if len(killed.made) == killed_at - 1:
            raise Killed
        return Task.quantize(killed, assignment, out, stage)

    killed.quantize = quantize  # type: ignore[method-assign]
    with Unfinished(kept, "key") as figures, pytest.raises(Killed):
        smallest_within_loss(killed, files, figures)  # type: ignore[arg-type]
    again = Task(tmp_path / "out.gguf", files, 0.02)

    with Unfinished(kept, "key") as figures:
        found, _ = smallest_within_loss(again, files, figures)  # type: ignore[arg-type]

    assert again.out.read_text() == first.out.read_text()
    assert replace(found, path=whole.path, made=whole.made) == whole
    assert killed.made + again.made == first.made


def test_files_of_real_weights_meet_their_budgets(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", SHAPE, seed=4)
    sizes = {}
    for loss in (2e-4, 4e-3):
        out = tmp_path / f"{loss}.gguf"

        made = quantize_checkpoint(source, out, Budget(loss=loss), n_tokens=2048, threads=1)

        assert made.measured_kl <= loss
        assert 1 <= made.n_tries <= MOST_TRIES
        sizes[loss] = made.size_bytes
    assert sizes[2e-4] > sizes[4e-3]
    assert len(list(tmp_path.iterdir())) == 3


KILLED = """
import os, sys
from aboard.fitting import Budget, quantize_checkpoint
def progress(stage, done, total):
    if stage == 'try 2: quantize' and done > total / 2:
        os._exit(9)
quantize_checkpoint(*sys.argv[1:], Budget(loss=1e-3), n_tokens=2048, threads=1, progress=progress)
"""


def test_a_killed_search_goes_on_to_the_same_file(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", SHAPE, seed=4)
    whole, out = tmp_path / "whole.gguf", tmp_path / "out.gguf"
    budget = Budget(loss=1e-3)
    made = quantize_checkpoint(source, whole, budget, n_tokens=2048, threads=1)
    killed = subprocess.run([sys.executable, "-c", KILLED, source, out], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    stages: list[str] = []

    again = quantize_checkpoint(
        source,
        out,
        budget,
        n_tokens=2048,
        threads=1,
        progress=lambda stage, *_: stages.append(stage),
    )

    assert out.read_bytes() == whole.read_bytes()
    assert again.n_tries == made.n_tries
    assert "quantize" not in stages
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("out.gguf", "tiny.gguf", "whole.gguf")
    ]


def test_a_loss_below_that_of_any_change_is_told(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", SHAPE, seed=4)
    out = tmp_path / "out.gguf"

    made = quantize_checkpoint(source, out, Budget(loss=1e-12), n_tokens=2048, threads=1)

    assert made.measured_kl == 0
    assert all(each.exact for each in made.tensors)
    assert "no smaller file was found whose KL divergence is at most 1e-12" in made.notes[-1]
