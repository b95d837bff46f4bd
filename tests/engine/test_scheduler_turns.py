"""Who waits for how long, who is refused, and how a caller that doesn't wait hears of steps."""

import threading
from pathlib import Path

import numpy as np
import pytest

from aboard.engine import Model, Request, load
from aboard.engine.answer_state import AnswerState
from aboard.engine.scheduler_batch import Batch, Load
from aboard.engine.scheduler_queue import MOST_REMEMBERED, FairQueue
from aboard.errors import NotEnoughMemory, Overloaded, UsageError
from engine.scripted import says
from tiny import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path: Path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")
    return load(path, threads=1, context=256)


def request(
    model: Model,
    owner: str | tuple[str, ...] = "",
    *,
    background: bool = False,
    **fields: object,
) -> Request:
    state = AnswerState(model.tokenizer, **fields)
    return Request(np.array([1, 2], np.int32), state, None, owner=owner, background=background)


def order(model: Model, waiting: str, under_way: str = "", n_keep: int = 0) -> str:
    """Whose turns come, where each letter is a request of that owner; `n_keep` stay under way.

    Capitals are in the background.
    """
    queue = FairQueue()
    for owner in waiting:
        queue.add(request(model, owner, background=owner.isupper()))
    running = [request(model, owner) for owner in under_way]
    turns = ""
    while queue:
        got = queue.next(running)
        turns += got.owner
        running = [*running, got][-n_keep:] if n_keep else []
    return turns


@pytest.mark.parametrize(
    ("waiting", "under_way", "n_keep", "turns"),
    [
        ("aaa", "", 0, "aaa"),
        ("aaaabb", "", 0, "ababaa"),
        ("aaabbc", "", 0, "abcaba"),
        ("aaab", "", 4, "abaa"),
        ("ab", "a", 1, "ba"),
        ("aabb", "aaa", 9, "bbaa"),
        ("", "a", 0, ""),
        ("AABaab", "", 0, "abaABA"),
        ("ABa", "aaa", 9, "aAB"),
    ],
)
def test_turns_are_shared_out_between_owners(
    model: Model, waiting: str, under_way: str, n_keep: int, turns: str
) -> None:
    assert order(model, waiting, under_way, n_keep) == turns


def turns(model: Model, waiting: list[tuple[str, ...]], running: list[tuple[str, ...]]) -> list:
    """Whose turns come, while nothing that was under way ends."""
    queue = FairQueue()
    for owner in waiting:
        queue.add(request(model, owner))
    under_way = [request(model, owner) for owner in running]
    while queue:
        under_way.append(queue.next(under_way))
    return [each.owner for each in under_way[len(running) :]]


def test_a_key_of_many_users_gets_no_more_than_another_key(model: Model) -> None:
    many = [("many", str(user)) for user in range(6)]

    got = turns(model, [*many, ("one", "a"), ("one", "a"), ("one", "b")], [])

    assert [owner[0] for owner in got] == ["many", "one"] * 3 + ["many"] * 3
    assert [owner[1] for owner in got if owner[0] == "one"] == ["a", "b", "a"]
    assert [owner for owner in got if owner[0] == "many"] == many


def test_users_of_a_key_have_turns_among_themselves(model: Model) -> None:
    waiting = [("k", "a"), ("k", "a"), ("k", "b"), ("l", "a")]

    got = turns(model, waiting, [("k", "a"), ("l", "a")])

    assert got == [("k", "b"), ("l", "a"), ("k", "a"), ("k", "a")]


def test_what_is_remembered_of_owners_is_bounded_while_somebody_waits(model: Model) -> None:
    queue, patient = FairQueue(), request(model, "patient")
    queue.add(patient)
    for number in range(2 * MOST_REMEMBERED):
        queue.add(request(model, ("key", str(number))))
        assert queue.next([patient]) is not patient

    assert len(queue._last_turn) == MOST_REMEMBERED
    assert queue.next([]) is patient


def test_requests_of_one_owner_keep_their_order(model: Model) -> None:
    queue, requests = FairQueue(), [request(model, owner) for owner in "abaab"]
    for each in requests:
        queue.add(each)
    queue.remove(requests[2])

    got = [queue.next([]) for _ in range(4)]

    assert got == [requests[i] for i in (0, 1, 3, 4)]
    assert (len(queue), list(queue)) == (0, [])


def test_nothing_is_kept_of_owners_who_are_gone(model: Model) -> None:
    queue = FairQueue()
    for owner in range(100):
        queue.add(request(model, str(owner)))
        queue.next([])

    assert not any(vars(queue)[name] for name in ("_by_owner", "_last_turn"))


def test_an_owner_who_asks_for_much_does_not_hold_up_another(model: Model) -> None:
    batch = Batch(model, max_sequences=2, prompt_slice=64)
    many = [request(model, "many", sampling=says("xxxx")) for _ in range(6)]
    for each in many:
        batch.add(each)
    batch.step()
    few = request(model, "few", sampling=says("yyyy"))
    batch.add(few)

    while few.finish_reason is None:
        batch.step()

    assert [each.finish_reason for each in many] == ["stop"] * 3 + [None] * 3


@pytest.mark.parametrize("n_steps", [0, 1, 3])
def test_what_is_in_the_background_makes_room_and_goes_on_where_it_was(
    model: Model, n_steps: int
) -> None:
    batch = Batch(model, max_sequences=1, prompt_slice=64)
    patient = request(model, background=True, sampling=says("abcdef"))
    batch.add(patient)
    for _ in range(n_steps):
        batch.step()
    live = [request(model, sampling=says("xyz")) for _ in range(2)]
    for each in live:
        batch.add(each)

    while any(each.finish_reason is None for each in live):
        batch.step()

    assert "".join(step.text for step in patient.taken()[0]) == "abcdef"[:n_steps]
    assert batch.load == Load(0, 1)
    while not batch.idle:
        batch.step()
    assert patient.text() == "abcdef"[n_steps:]


def test_what_was_set_aside_can_be_cancelled_and_gives_way_to_scarce_memory(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def forward(self, *arguments: object) -> object:
            monkeypatch.undo()
            raise MemoryError

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    real = model.decoder
    batch = Batch(model, max_sequences=2, prompt_slice=64)
    patient = [request(model, background=True, sampling=says("abcdef")) for _ in range(2)]
    live = [request(model, sampling=says("xyz")) for _ in range(2)]
    for each in patient:
        batch.add(each)
    batch.step()
    for each in live:
        batch.add(each)
    batch.step()

    patient[0].cancel()
    monkeypatch.setattr(model, "decoder", Full())
    while not batch.idle:
        batch.step()

    assert [each.text() for each in live] == ["xyz"] * 2
    assert patient[0].finish_reason == "cancelled"
    assert isinstance(patient[1].error, NotEnoughMemory)


def test_requests_in_the_background_keep_nobody_else_out(model: Model) -> None:
    block = threading.Event()
    with model.batch(max_sequences=1, max_waiting=1) as scheduler:
        patient = [
            scheduler.submit([1], background=True, sampling=says("abc"), on_change=block.wait)
            for _ in range(2)
        ]
        with pytest.raises(Overloaded):
            scheduler.submit([1], background=True)

        live = [scheduler.submit([1], sampling=says("d")) for _ in range(2)]

        with pytest.raises(Overloaded):
            scheduler.submit([1])
        block.set()
        assert [each.text() for each in (*patient, *live)] == ["abc", "abc", "d", "d"]


def test_more_than_may_wait_is_refused_and_nothing_else(model: Model) -> None:
    block = threading.Event()
    with model.batch(max_sequences=1, max_waiting=2) as scheduler:
        first = scheduler.submit([1], sampling=says("abc"), on_change=block.wait)
        waiting = [scheduler.submit([1], sampling=says("abc")) for _ in range(2)]

        with pytest.raises(Overloaded, match="3 answers are under way or wait") as caught:
            scheduler.submit([1])

        assert scheduler.load.n_requests == 3
        block.set()
        assert [each.text() for each in (first, *waiting)] == ["abc"] * 3
        assert scheduler.submit([1], sampling=says("d")).text() == "d"
    assert "later" in caught.value.hint


@pytest.mark.parametrize("value", [-1, 1.5, "2"])
def test_a_queue_of_no_length_is_refused(model: Model, value: object) -> None:
    with pytest.raises(UsageError, match="max_waiting is"):
        model.batch(max_waiting=value)


def test_no_memory_for_a_cache_ends_one_request_only(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        n_left = 1

        def new_cache(self, n_tokens: int) -> object:
            if self.n_left == 0:
                raise MemoryError
            self.n_left -= 1
            return real.new_cache(n_tokens)

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    real = model.decoder
    monkeypatch.setattr(model, "decoder", Full())
    batch = Batch(model, max_sequences=4, prompt_slice=64)
    good, bad = request(model, sampling=says("fine")), request(model)
    for each in (good, bad):
        batch.add(each)
    while not batch.idle:
        batch.step()

    assert good.text() == "fine"
    with pytest.raises(NotEnoughMemory, match="no memory for a context of 256 tokens"):
        bad.text()


def test_a_caller_that_does_not_wait_is_told_of_every_step_and_of_the_end(model: Model) -> None:
    told: list[tuple[list[str], bool]] = []
    done = threading.Event()

    def look() -> None:
        steps, ended = submitted[0].taken() if submitted else ([], False)
        told.append(([step.text for step in steps], ended))
        if ended:
            done.set()

    submitted: list[Request] = []
    with model.batch() as scheduler:
        ready = threading.Event()

        def later() -> None:
            ready.wait()
            look()

        submitted.append(scheduler.submit([1], sampling=says("abc"), on_change=later))
        ready.set()
        done.wait()

    assert told == [(["a"], False), (["b"], False), (["c"], False), ([], True)]
    assert submitted[0].taken() == ([], True)


def test_callers_are_told_of_a_step_once_it_is_complete(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And before the next is computed: what they do then goes on beside it."""
    happened: list[str] = []
    real = model.decoder

    class Watched:
        def forward(self, *arguments: object) -> object:
            happened.append("pass")
            return real.forward(*arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    monkeypatch.setattr(model, "decoder", Watched())
    batch = Batch(model, max_sequences=3, prompt_slice=64)
    for number, text in enumerate(("ab", "abc", "a")):
        state = AnswerState(model.tokenizer, sampling=says(text))
        tokens = np.array([1, 2], np.int32)
        batch.add(Request(tokens, state, None, on_change=lambda n=number: happened.append(str(n))))
    while not batch.idle:
        batch.step()

    assert "".join(happened).replace("pass", "|") == "|012|012|01|1"


def test_what_ended_an_answer_comes_after_its_steps(model: Model) -> None:
    failing = request(model)
    with model.batch() as scheduler:
        failing.push(next(scheduler.submit([1], max_tokens=1)))
    failing.end(None, UsageError("broken"))

    steps, ended = failing.taken()

    assert (len(steps), ended) == (1, False)
    with pytest.raises(UsageError, match="broken"):
        failing.taken()


class Broken(AnswerState):
    """An answer of which can't be told whether it is whole."""

    @property
    def complete(self) -> bool | None:
        raise ValueError("broken grammar")


def test_an_answer_ends_even_where_its_grammar_fails(model: Model) -> None:
    state = Broken(model.tokenizer, sampling=says("ab"))
    bad = Request(np.array([1, 2], np.int32), state, None)
    good = request(model, sampling=says("abcd"))
    batch = Batch(model, max_sequences=2, prompt_slice=64)
    for each in (bad, good):
        batch.add(each)
    while not batch.idle:
        batch.step()

    with pytest.raises(ValueError, match="broken grammar"):
        bad.text()
    assert good.text() == "abcd"
    assert (bad.finish_reason, good.finish_reason) == (None, "stop")


def test_the_error_that_ended_an_answer_is_told_rather_than_its_grammar_s(model: Model) -> None:
    bad = Request(np.array([1], np.int32), Broken(model.tokenizer), None)

    bad.end(None, UsageError("first"))

    with pytest.raises(UsageError, match="first"):
        bad.text()
