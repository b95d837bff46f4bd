"""A run that was stopped goes on, and a file of something else is left alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from aboard.errors import UsageError
from aboard.evaluate import evaluate
from aboard.evaluate.scorers import Scorer


class Stop(Exception):
    pass


def stopped_after(count: int):
    def told(stage: str, done: int, total: int) -> None:
        nonlocal count
        count -= 1
        if count < 0:
            raise Stop

    return told


@pytest.mark.parametrize("steps", [1, 4, 12])
def test_a_run_that_was_stopped_goes_on(
    steps: int, near: Path, reference: Path, text: Path, tasks: Path, cache: Path
) -> None:
    options = {"against": reference, "text": [text], "window": 64, "tasks": [f"mine={tasks}"]}
    want = evaluate(near, **options, resume=False)
    with pytest.raises(Stop):
        evaluate(near, **options, progress=stopped_after(steps))
    (state,) = cache.iterdir()
    state.write_bytes(state.read_bytes()[:-7])  # the last line was cut short
    kept = state.read_bytes().count(b"\n")

    found = evaluate(near, **options)

    assert found == want
    assert kept == steps - 1
    assert not list(cache.iterdir())


def test_what_was_found_is_not_computed_again(
    near: Path, text: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stop):
        evaluate(near, text=[text], window=64, progress=stopped_after(5))
    computed = []
    plain = Scorer.window
    monkeypatch.setattr(
        Scorer, "window", lambda self, window: computed.append(1) or plain(self, window)
    )

    found = evaluate(near, text=[text], window=64)

    assert found.text is not None
    assert len(computed) == found.text.n_sequences - 5


def test_the_state_of_another_run_is_not_taken(
    near: Path, reference: Path, text: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    want = evaluate(reference, text=[text], window=64)
    with pytest.raises(Stop):
        evaluate(near, text=[text], window=64, state=state, progress=stopped_after(4))

    found = evaluate(reference, text=[text], window=64, state=state)

    assert replace(found, command="") == replace(want, command="")


@pytest.mark.parametrize("content", [b"GGUF\x03", b"my thesis", b"zz", b"0123456789"])
def test_a_file_of_something_else_is_not_taken_for_state(
    content: bytes, near: Path, text: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_bytes(content)

    with pytest.raises(UsageError, match="something else than an unfinished evaluation"):
        evaluate(near, text=[text], window=64, state=state)
    assert state.read_bytes() == content


def test_a_first_line_that_was_cut_short_is_state(near: Path, text: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"12af")

    assert evaluate(near, text=[text], window=64, state=state).text is not None


def test_without_resuming_nothing_is_left(near: Path, text: Path, cache: Path) -> None:
    with pytest.raises(Stop):
        evaluate(near, text=[text], window=64, resume=False, progress=stopped_after(4))

    assert not cache.exists()


def test_a_place_that_cant_be_written_is_done_without(
    near: Path, text: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    found = evaluate(near, text=[text], window=64, state=tmp_path / "file" / "below" / "state")

    assert found.text is not None
