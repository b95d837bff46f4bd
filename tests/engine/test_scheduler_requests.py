"""What a scheduler takes as a request, and what it refuses at once."""

import multiprocessing
import os
from collections.abc import Iterator

import pytest

from aboard.engine import Model, Scheduler, load
from aboard.errors import ContextOverflow, UsageError
from engine.scripted import says
from tiny import tiny_llama

CONTEXT = 256


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")
    return load(path, threads=1, context=CONTEXT)


@pytest.fixture
def scheduler(model: Model) -> Iterator[Scheduler]:
    with model.batch() as scheduler:
        yield scheduler


@pytest.mark.parametrize(("name", "value"), [("speculate", "prompt"), ("state", "a.state")])
def test_options_of_an_answer_alone_are_refused(
    model: Model, scheduler: Scheduler, name: str, value: str
) -> None:
    for ask in (scheduler.submit, lambda text, **options: model.generate_many([text], **options)):
        with pytest.raises(UsageError, match=f"answers computed together take no {name}") as caught:
            ask("ab", **{name: value})

        assert "alone" in caught.value.hint


def test_a_text_is_submitted_as_its_tokens(scheduler: Scheduler) -> None:
    texts = [scheduler.submit(each, max_tokens=9).text() for each in ("ab", [97, 98])]

    assert texts[0] == texts[1]


def test_steps_may_be_taken_again_only_once(scheduler: Scheduler) -> None:
    submitted = scheduler.submit([1], sampling=says("ab"))

    assert [submitted.text(), submitted.text(), list(submitted)] == ["ab", "", []]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([],), "no tokens"),
        (([999],), "not in the vocabulary"),
        ((5,), "tokens are 5"),
        (([1], {"timeout_s": 0}), "timeout_s is 0"),
        (([1], {"timeout_s": float("nan")}), "timeout_s is nan"),
        (([1], {"timeout_s": "9"}), "timeout_s is '9'"),
        (([1], {"max_tokens": 0}), "max_tokens is 0"),
        (([1], {"stop": 5}), "stop texts are 5"),
        (([1], {"sampling": 5}), "sampling is a int"),
    ],
)
def test_what_can_not_be_answered_is_refused_at_once(
    scheduler: Scheduler, arguments: tuple[object, dict[str, object]], named: str
) -> None:
    prompt, *fields = arguments

    with pytest.raises(UsageError, match=named):
        scheduler.submit(prompt, **(fields[0] if fields else {}))


def test_a_prompt_beyond_the_context_is_refused_at_once(scheduler: Scheduler) -> None:
    with pytest.raises(ContextOverflow, match="257 tokens, the context holds 256"):
        scheduler.submit([1] * (CONTEXT + 1))


@pytest.mark.parametrize("field", ["max_sequences", "prompt_slice"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None])
def test_a_number_out_of_its_range_is_refused(model: Model, field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{field} is"):
        model.batch(**{field: value})


def submit_into(queue: object, scheduler: Scheduler) -> None:
    try:
        scheduler.submit([1])
    except UsageError as error:
        queue.put(str(error))  # type: ignore[attr-defined]
    scheduler.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own(scheduler: Scheduler) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=submit_into, args=(queue, scheduler))
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert "belongs to the process" in queue.get()
