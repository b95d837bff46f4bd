"""Steps take about as long as they may, on machines of any speed; no token depends on it."""

from pathlib import Path

import pytest

from aboard.engine import Model, load, scheduler_batch
from aboard.engine.prefix import PrefixCache
from aboard.engine.scheduler_pace import LEAST, Pace
from aboard.errors import UsageError
from engine.scripted import says
from tiny import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path: Path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")
    return load(path, threads=1, context=1024)


@pytest.mark.parametrize(
    ("token_s", "most"), [(1e-6, 128), (0.001, 100), (0.002, 50), (0.01, LEAST), (9.0, LEAST)]
)
def test_a_step_takes_what_there_is_time_for(token_s: float, most: int) -> None:
    pace = Pace(0.1)
    assert pace.most(128) == 128  # nothing is known yet
    pace.note(128, 128 * token_s)

    assert pace.most(128) == pytest.approx(most, abs=1)
    assert pace.most(20) == min(20, pace.most(128))


def test_a_machine_that_was_busy_for_once_is_soon_trusted_again() -> None:
    pace = Pace(0.1)
    pace.note(128, 0.05)
    pace.note(128, 5.0)
    busy = pace.most(128)
    for _ in range(8):
        pace.note(busy, busy * 0.05 / 128)

    assert busy == LEAST
    assert pace.most(128) == 128


def test_steps_of_few_tokens_tell_nothing_of_prompts() -> None:
    pace = Pace(0.1)
    pace.note(LEAST - 1, 10.0)

    assert pace.most(128) == 128


def test_without_a_limit_steps_take_any_time() -> None:
    pace = Pace(None)
    pace.note(128, 100.0)

    assert pace.most(128) == 128


@pytest.mark.parametrize(
    ("token_s", "slices"), [(0.0, [128] * 4 + [88]), (0.1 / 25.5, [128] + [25] * 18 + [22])]
)
def test_prompts_come_in_slices_for_which_there_is_time(
    model: Model, monkeypatch: pytest.MonkeyPatch, token_s: float, slices: list[int]
) -> None:
    now, sizes, real = [0.0], [], model.decoder

    class Timed:
        def forward(self, tokens, *more: object) -> object:
            now[0] += token_s * len(tokens)
            sizes.append(len(tokens))
            return real.forward(tokens, *more)

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    monkeypatch.setattr(model, "decoder", Timed())
    monkeypatch.setattr(model, "prefix_cache", PrefixCache(0))
    monkeypatch.setattr(scheduler_batch, "clock", lambda: now[0])
    prompt = [(i * 31 + 7) % 256 for i in range(600)]
    with model.batch(step_s=0.1) as scheduler:
        text = scheduler.submit(prompt, sampling=says("a")).text()

    assert (text, sizes) == ("a", [*slices, 1])


@pytest.mark.parametrize("value", [0, -1, "1", True, float("nan")])
def test_a_time_that_is_none_is_refused(model: Model, value: object) -> None:
    with pytest.raises(UsageError, match="step_s is"):
        model.batch(step_s=value)
