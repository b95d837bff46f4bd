"""What a model writes for its own calibration is always the same, and not always one text."""

import json
from pathlib import Path

import pytest

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


class Memory:
    """Keeps what it is told, as a file of unfinished work does."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], object] = {}

    def known(self, of: str, number: int) -> object:
        return self.found.get((of, number))

    def add(self, of: str, number: int, figures: object) -> None:
        self.found[of, number] = json.loads(json.dumps(figures))


@pytest.mark.parametrize("n_kept", [0, 1, 63, 64, 65, 100])
def test_a_text_that_was_cut_off_goes_on_with_the_same_tokens(tmp_path: Path, n_kept: int) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", Llama(layers=1, context=256), seed=1)
    whole = write_on(aboard.load(path), BEGINNINGS, 150)
    assert max(map(len, whole)) > 100  # or nothing would be cut off
    memory = Memory()
    for seed, tokens in enumerate(whole):
        memory.add("written", seed, [tokens[:n_kept], len(tokens) <= n_kept])
    n_told: list[int] = []

    again = write_on(aboard.load(path), BEGINNINGS, 150, kept=memory, told=n_told.append)

    assert again == whole
    assert sum(n_told) == sum(map(len, whole))


def test_what_was_written_is_kept_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", Llama(layers=1, context=256), seed=1)
    memory, sizes = Memory(), []
    add = memory.add
    memory.add = lambda of, number, figures: (  # type: ignore[method-assign]
        sizes.append(len(figures[0])) or add(of, number, figures)
    )

    whole = write_on(aboard.load(path), BEGINNINGS, 150, kept=memory)

    assert {size for size in sizes if size not in map(len, whole)} <= {64, 128}
    assert 64 in sizes
    assert [memory.known("written", seed) for seed in range(3)] == [[t, True] for t in whole]
