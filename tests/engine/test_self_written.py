"""What a model writes for its own calibration is always the same, and not always one text."""

from pathlib import Path

import aboard
from aboard.engine.self_written import write_on
from tiny import Llama, tiny_llama

BEGINNINGS = [[72, 101], [72, 101], [10]]


def test_a_model_goes_on_by_fixed_seeds(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", Llama(layers=1, context=32), seed=1)

    first = write_on(aboard.load(path, threads=1), BEGINNINGS, 20)

    assert first == write_on(aboard.load(path, threads=2), BEGINNINGS, 20)
    assert [len(answer) <= 20 for answer in first] == [True] * 3
    assert all(first)
    assert first[0] != first[1]  # drawn by another seed


def test_no_more_is_asked_for_than_the_context_holds(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", Llama(layers=1, context=16), seed=1)

    (answer,) = write_on(aboard.load(path), [list(range(10))], 512)

    assert 1 <= len(answer) <= 6
