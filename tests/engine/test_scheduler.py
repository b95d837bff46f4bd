"""Many answers at once: the tokens each would get alone, whoever comes, goes or fails meanwhile."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aboard.engine import Model, Request, Sampling, Scheduler, Step, load, scheduler_request
from aboard.engine.answer_state import AnswerState
from aboard.engine.prefix import PrefixCache
from aboard.engine.scheduler_batch import Batch
from aboard.errors import AboardError, NumericalError, UsageError
from engine.made import made, with_value
from engine.scripted import says
from tiny import Llama, tiny_llama
from waiting import until

CONTEXT = 256
POISON = 200  # the token whose embedding is beyond float32 in squares, in the damaged model

KINDS: list[dict[str, object]] = [
    {"max_tokens": 12},
    {"max_tokens": 30, "sampling": {"temperature": 1.0, "seed": 7}},
    {"max_tokens": 5, "sampling": {"temperature": 0.7, "top_k": 20, "seed": 1}},
    {"max_tokens": 20, "sampling": {"repetition_penalty": 1.3, "frequency_penalty": 0.5}},
    {"max_tokens": 40, "stop": ["e", "\n"], "sampling": {"temperature": 1.5, "seed": 3}},
    {},  # to the end of the context
]
Answered = tuple[list[Step], str | None]


def options(kind: int) -> dict[str, object]:
    fields = {**KINDS[kind], "logprobs": True}
    if "sampling" in fields:
        fields["sampling"] = Sampling(**fields["sampling"])  # type: ignore[arg-type]
    return fields


def prompt(n_shared: int, n_own: int, what: int) -> list[int]:
    """Tokens of which the first are those of all prompts."""
    return [(i * 97 + 13) % 256 for i in range(n_shared)] + [
        (what * 31 + i) % 256 for i in range(n_own)
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return load(path, threads=1, context=CONTEXT)


@pytest.fixture(scope="module")
def alone(model: Model) -> Callable[[list[int], int], Answered]:
    """What a session of its own answers."""
    known: dict[tuple[object, ...], Answered] = {}

    def answer(tokens: list[int], kind: int) -> Answered:
        key = (*tokens, kind)
        if key not in known:
            with model.session() as session:
                steps = list(session.generate(tokens, **options(kind)))
                known[key] = steps, session.finish_reason
        return known[key]

    return answer


def request(
    model: Model,
    tokens: list[int],
    timeout_s: float | None = None,
    background: bool = False,
    **fields: object,
):
    state = AnswerState(model.tokenizer, **fields)
    return Request(np.array(tokens, np.int32), state, timeout_s, background=background)


def drain(batch: Batch) -> None:
    while not batch.idle:
        batch.step()


JOINS = st.tuples(
    st.just("join"),
    st.tuples(st.sampled_from([0, 1, 63, 64, 65, 130]), st.integers(1, 80), st.integers(0, 2)),
    st.integers(0, len(KINDS) - 1),
)
STEPS = st.tuples(st.just("step"), st.integers(1, 12), st.just(0))
LEAVES = st.tuples(st.just("leave"), st.integers(0, 9), st.just(0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    acts=st.lists(st.one_of(JOINS, JOINS, STEPS, LEAVES), min_size=3, max_size=16),
    background=st.sets(st.integers(0, 15)),
    max_sequences=st.integers(1, 8),
    prompt_slice=st.sampled_from([1, 7, 32, 64, 300]),
    budget_chunks=st.sampled_from([0, 2, 50]),
)
def test_every_request_gets_the_tokens_it_would_get_alone(
    model: Model,
    alone: Callable[[list[int], int], Answered],
    acts: list[tuple[str, object, int]],
    background: set[int],
    max_sequences: int,
    prompt_slice: int,
    budget_chunks: int,
) -> None:
    chunk_bytes = model.session().cache.chunk_bytes
    model.prefix_cache = PrefixCache(budget_chunks * chunk_bytes)
    batch = Batch(model, max_sequences=max_sequences, prompt_slice=prompt_slice)
    joined: list[tuple[Request, list[int], int]] = []
    left: set[Request] = set()

    for act, what, kind in acts:
        if act == "join":
            tokens = prompt(*what)  # type: ignore[misc]
            asked = request(model, tokens, background=len(joined) in background, **options(kind))
            joined.append((asked, tokens, kind))
            batch.add(joined[-1][0])
        elif act == "step":
            for _ in range(what):  # type: ignore[call-overload]
                batch.step()
        elif what < len(joined):  # type: ignore[operator]
            gone = joined[what][0]  # type: ignore[index]
            if gone.finish_reason is None:
                left.add(gone)
            gone.cancel()
    drain(batch)

    assert batch.n_background == 0
    for asked, tokens, kind in joined:
        steps, reason = alone(tokens, kind)
        got = list(asked)
        if asked in left:
            assert asked.finish_reason == "cancelled"
            assert got == steps[: len(got)]
        else:
            assert (got, asked.finish_reason) == (steps, reason)


def test_the_last_sequence_gone_nothing_is_held_but_the_prefix_cache(model: Model) -> None:
    model.prefix_cache = PrefixCache()
    batch = Batch(model, max_sequences=4, prompt_slice=64)
    for what in range(6):
        batch.add(request(model, prompt(64, 70, what), max_tokens=30))
    drain(batch)

    held = model.decoder.kv_memory()["used_bytes"]

    assert held == model.prefix_cache.stats.size_bytes > 0
    model.prefix_cache.clear()
    assert model.decoder.kv_memory()["used_bytes"] == 0


# Prompts come in slices.


class Recorded:
    """The decoder; `batches` are the numbers of tokens by cache of each forward pass."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.batches: list[list[int]] = []

    def forward(self, tokens: object, caches: list[object], wanted: object) -> object:
        self.batches.append([caches.count(each) for each in dict.fromkeys(caches)])
        return self._real.forward(tokens, caches, wanted)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


@pytest.fixture
def recorded(model: Model, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    model.prefix_cache = PrefixCache(0)
    decoder = Recorded(model.decoder)
    monkeypatch.setattr(model, "decoder", decoder)
    return decoder


def test_answers_go_on_token_by_token_while_a_long_prompt_comes_in(
    model: Model, recorded: Recorded
) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=32)
    for what in range(3):
        batch.add(request(model, prompt(0, 5, what), max_tokens=60))
    batch.step()
    batch.add(request(model, prompt(0, 150, 9), max_tokens=2))
    recorded.batches.clear()

    for _ in range(6):
        batch.step()

    assert recorded.batches == [[1, 1, 1, 32]] * 4 + [[1, 1, 1, 22], [1, 1, 1, 1]]


def test_a_prompt_with_nobody_to_stall_comes_in_larger_slices(
    model: Model, recorded: Recorded
) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=32)
    batch.add(request(model, prompt(0, 200, 0), max_tokens=1))
    drain(batch)

    assert recorded.batches == [[128], [72]]


def test_a_short_prompt_does_not_wait_for_a_long_one(model: Model, recorded: Recorded) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=16)
    batch.add(request(model, prompt(0, 4, 0), max_tokens=100))
    batch.step()
    batch.add(request(model, prompt(0, 240, 1), max_tokens=1))
    batch.step()
    short = request(model, prompt(0, 10, 2), max_tokens=1)
    batch.add(short)

    n_steps = 0
    while short.finish_reason is None:
        batch.step()
        n_steps += 1

    assert n_steps <= 1 + 64 // 16  # a turn is a chunk of keys


@pytest.mark.parametrize("prompt_slice", [8, 24, 32, 64, 100])
def test_prompts_that_begin_alike_are_computed_once(
    model: Model, recorded: Recorded, prompt_slice: int
) -> None:
    model.prefix_cache = PrefixCache()
    batch = Batch(model, max_sequences=8, prompt_slice=prompt_slice)
    requests = [request(model, [7], max_tokens=100, sampling=says("x" * 100))]
    requests += [
        request(model, prompt(200, 3, what), max_tokens=2, sampling=says("ab")) for what in range(5)
    ]
    batch.add(requests[0])
    batch.step()
    recorded.batches.clear()
    for each in requests[1:]:
        batch.add(each)
    drain(batch)

    n_computed = sum(sum(sizes) for sizes in recorded.batches)
    n_asked = sum(each.n_prompt + 1 for each in requests[1:]) + 99  # the first token was drawn
    n_cached = sum(each.timing.cached_tokens for each in requests)
    assert n_computed == n_asked - n_cached
    assert n_cached >= 4 * 128


# Who fails, fails alone.


def test_logits_of_nan_end_one_request_only(tmp_path: Path) -> None:
    change = with_value("token_embd.weight", (POISON, 0), 3e38)
    damaged = load(made(tmp_path / "damaged.gguf", Llama(context=CONTEXT), change=change))
    batch = Batch(damaged, max_sequences=8, prompt_slice=64)
    good = [request(damaged, [1, 2, what], max_tokens=20) for what in range(3)]
    bad = request(damaged, [1, 2, POISON], max_tokens=20)
    for each in (good[0], bad, *good[1:]):
        batch.add(each)
    drain(batch)

    with pytest.raises(NumericalError, match="NaN"):
        list(bad)

    assert (bad.finish_reason, isinstance(bad.error, NumericalError)) == (None, True)
    for what, each in enumerate(good):
        with damaged.session() as session:
            assert list(each) == list(session.generate([1, 2, what], max_tokens=20))


def test_a_draw_that_fails_ends_one_request_only(model: Model) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=64)
    forbidden = Sampling(logit_bias={token: float("-inf") for token in range(259)})
    bad = request(model, [1, 2, 3], sampling=forbidden)
    good = request(model, [1, 2, 4], sampling=says("fine"))
    batch.add(bad)
    batch.add(good)
    drain(batch)

    with pytest.raises(UsageError, match="can't choose token 3"):
        list(bad)

    assert (good.text(), good.finish_reason) == ("fine", "stop")


@pytest.mark.parametrize("fails", ["draw", "memory", "defect"])
def test_keys_are_let_go_of_with_the_request_that_fails(
    model: Model, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    caches = []

    class Recording:
        def new_cache(self, n_tokens: int) -> object:
            caches.append(real.new_cache(n_tokens))
            return caches[-1]

        def __getattr__(self, name: str) -> object:
            if name == "forward" and fails != "draw":
                raise MemoryError if fails == "memory" else RuntimeError
            return getattr(real, name)

    real = model.decoder
    monkeypatch.setattr(model, "decoder", Recording())
    sampling = Sampling(logit_bias={token: float("-inf") for token in range(259)})
    gc.disable()
    try:
        with Scheduler(model) as scheduler:
            bad = scheduler.submit([1, 2, 3], sampling=sampling)
            with pytest.raises((AboardError, RuntimeError)):
                bad.text()
        n_known = sys.getrefcount(caches[0])
    finally:
        gc.enable()

    assert bad.error is not None
    in_a_list = [object()]
    n_known_in_a_list = sys.getrefcount(in_a_list[0])
    assert n_known == n_known_in_a_list


def test_the_end_of_the_context_ends_one_request_only(model: Model) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=64)
    long = request(model, prompt(0, CONTEXT, 0), sampling=says("xyz"))
    short = request(model, [1], sampling=says("a longer answer"))
    batch.add(long)
    batch.add(short)
    drain(batch)

    assert (long.text(), long.finish_reason) == ("x", "length")
    assert (short.text(), short.finish_reason) == ("a longer answer", "stop")


class Scarce(Recorded):
    """A decoder without memory for more than two sequences."""

    def forward(self, tokens: object, caches: list[object], wanted: object) -> object:
        if len(set(map(id, caches))) > 2:
            raise MemoryError
        return super().forward(tokens, caches, wanted)


def test_scarce_memory_ends_the_last_to_come(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "decoder", Scarce(model.decoder))
    batch = Batch(model, max_sequences=8, prompt_slice=64)
    requests = [request(model, [what], sampling=says("answer")) for what in range(3)]
    for each in requests:
        batch.add(each)
    drain(batch)

    assert [each.finish_reason for each in requests] == ["stop", "stop", None]
    assert requests[0].text() == requests[1].text() == "answer"
    with pytest.raises(AboardError, match="too little memory"):
        requests[2].text()


def test_a_request_is_cancelled_before_the_next_token(model: Model, recorded: Recorded) -> None:
    batch = Batch(model, max_sequences=8, prompt_slice=64)
    gone = request(model, [1, 2], sampling=says("abcdef"))
    stays = request(model, [3, 4], sampling=says("abcdef"))
    batch.add(gone)
    batch.add(stays)
    batch.step()
    batch.step()

    gone.cancel()
    batch.step()

    assert recorded.batches[-1] == [1]
    assert (gone.text(), gone.finish_reason) == ("ab", "cancelled")


@pytest.mark.parametrize("n_steps", [0, 1, 3])
def test_a_request_whose_time_is_over_ends_where_it_is(
    model: Model, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    now = [100.0]
    monkeypatch.setattr(scheduler_request.time, "monotonic", lambda: now[0])
    batch = Batch(model, max_sequences=8, prompt_slice=64)
    late = request(model, [1, 2], timeout_s=5, sampling=says("abcdef"))
    batch.add(late)
    for _ in range(n_steps):
        batch.step()
    now[0] += 5

    batch.step()

    assert (late.text(), late.finish_reason) == ("abcdef"[:n_steps], "timeout")
    assert batch.idle


def test_a_time_limit_beyond_all_floats_is_none(model: Model) -> None:
    assert request(model, [1], timeout_s=10**400).interruption() is None


# The scheduler and its thread.


@pytest.fixture
def scheduler(model: Model) -> Iterator[Scheduler]:
    with model.batch() as scheduler:
        yield scheduler


def test_requests_of_several_threads_are_answered_as_alone(
    model: Model, scheduler: Scheduler, alone: Callable[[list[int], int], Answered]
) -> None:
    model.prefix_cache = PrefixCache()
    asked = [(prompt(70, 1 + n, n), n % len(KINDS)) for n in range(12)]
    got: dict[int, Answered] = {}

    def ask(first: int) -> None:
        for n in range(first, len(asked), 4):
            tokens, kind = asked[n]
            submitted = scheduler.submit(tokens, **options(kind))
            got[n] = list(submitted), submitted.finish_reason

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert got == {n: alone(*each) for n, each in enumerate(asked)}


def test_who_does_not_iterate_holds_up_nobody(scheduler: Scheduler) -> None:
    ignored = scheduler.submit([1, 2, 3], sampling=says("x" * 50))
    half = scheduler.submit([1, 2, 4], sampling=says("y" * 50))
    next(half)

    other = scheduler.submit([1, 2, 5], sampling=says("z" * 50)).text()

    assert other == "z" * 50
    assert ignored.text() == "x" * 50
    assert half.text() == "y" * 49


def test_generate_many_gives_what_generate_gives(model: Model) -> None:
    prompts = [f"The {thing} is " for thing in ("sky", "sea", "moon", "night" * 20)]
    fields = {"max_tokens": 15, "temperature": 1.0, "seed": 5, "stop": ["q"]}
    want = [model.generate(each, **fields) for each in prompts]

    got = model.generate_many(prompts, **fields)

    assert got == want
    assert model.generate_many([]) == []


def test_leaving_the_block_cancels_what_is_under_way(model: Model) -> None:
    left = threading.Event()
    scheduler = model.batch()

    def leave() -> None:
        with scheduler:
            pass

    submitted = scheduler.submit([1, 2, 3], sampling=says("x" * 250), on_change=left.wait)
    next(submitted)  # the thread that computes stands still behind this step
    leaving = threading.Thread(target=leave)
    leaving.start()
    until(lambda: scheduler.closed)
    left.set()
    leaving.join()

    assert len(list(submitted)) < 3
    assert submitted.finish_reason == "cancelled"
    with pytest.raises(UsageError, match="closed"):
        scheduler.submit([1])
    scheduler.close()


def test_an_error_of_the_engine_ends_the_requests_and_not_the_scheduler(
    model: Model, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Recorded):
        def forward(self, *arguments: object) -> object:
            raise ValueError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(model, "decoder", Broken(model.decoder))
        broken = scheduler.submit([1, 2])
        with pytest.raises(ValueError, match="a defect"):
            list(broken)

    assert scheduler.submit([1, 2], sampling=says("whole")).text() == "whole"
