"""The prefix cache: the same bits on a hit, however much of a prompt is known, and a budget."""

import gc
import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aboard.engine import Model, load
from aboard.engine.prefix import PrefixCache
from aboard.errors import UsageError
from engine.scripted import says
from tiny import tiny_llama

CHUNK = 64
SYSTEM = [(i * 97 + 13) % 256 for i in range(150)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")


@pytest.fixture
def model(path: Path) -> Model:
    return load(path, threads=1)


def logits_sha256(model: Model, tokens: list[int], *, prefix_cache: bool) -> tuple[str, int]:
    """The hash of the logits of 6 tokens after a prompt, and how many were known."""
    with model.session(prefix_cache=prefix_cache) as session:
        rows = [session.prefill(tokens)]
        known = session.cached_tokens
        rows += [session.decode(token) for token in range(5)]
    return hashlib.sha256(np.stack(rows).tobytes()).hexdigest(), known


def n_bytes(model: Model, n_chunks: int) -> int:
    return n_chunks * model.session().cache.chunk_bytes


@pytest.mark.parametrize(
    ("prompt", "known"),
    [
        (SYSTEM, 149),  # all but the last, whose logits are wanted: two chunks and 21 of the third
        ([*SYSTEM, 1, 2, 3], 150),
        (SYSTEM[:129], 128),
        (SYSTEM[:128], 127),
        (SYSTEM[:65], 64),
        (SYSTEM[:64], 63),
        (SYSTEM[:2], 1),
        (SYSTEM[:1], 0),
        (SYSTEM[:100] + [258] * 80, 100),  # diverges within a chunk
        (SYSTEM[:64] + [258] * 80, 64),
        ([258, *SYSTEM], 0),
        (SYSTEM[1:], 0),
        (SYSTEM[64:], 0),  # the tokens of a chunk that is known after others
    ],
)
def test_a_hit_gives_the_bits_of_a_miss(model: Model, prompt: list[int], known: int) -> None:
    want, _ = logits_sha256(model, prompt, prefix_cache=False)
    with model.session(prefix_cache=True) as session:
        session.prefill(SYSTEM + [7] * 50)

    got = logits_sha256(model, prompt, prefix_cache=True)

    assert got == (want, known)


def test_a_running_donor_is_not_disturbed_and_does_not_disturb(model: Model) -> None:
    donor = model.session(prefix_cache=True)
    rows = [donor.prefill(SYSTEM)]
    heir = model.session(prefix_cache=True)
    rows_of_heir = [heir.prefill(SYSTEM[:140])]
    known = heir.cached_tokens
    for token in range(80):
        rows.append(donor.decode(token))
        rows_of_heir.append(heir.decode(258 - token))

    plain = model.logits(SYSTEM + list(range(80)))
    plain_of_heir = model.logits(SYSTEM[:140] + [258 - token for token in range(80)])
    assert known == 128
    assert np.stack(rows).tobytes() == plain[149:].tobytes()
    assert np.stack(rows_of_heir).tobytes() == plain_of_heir[139:].tobytes()


def test_what_an_answer_added_is_known_too(model: Model) -> None:
    with model.session(prefix_cache=True) as session:
        answered = [s.token for s in session.generate(SYSTEM, sampling=says("x" * 60))]
    turn = [*SYSTEM, *answered, 5, 6, 7]

    got = logits_sha256(model, turn, prefix_cache=True)

    assert got == (logits_sha256(model, turn, prefix_cache=False)[0], 192)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    prompts=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 3), st.integers(1, 90)),
        min_size=2,
        max_size=10,
    ),
    budget_chunks=st.integers(0, 6),
)
def test_any_prompts_under_any_budget_give_the_bits_of_a_miss(
    path: Path, prompts: list[tuple[int, int, int]], budget_chunks: int
) -> None:
    model = load(path, threads=1)
    model.prefix_cache = PrefixCache(n_bytes(model, budget_chunks))
    long = (SYSTEM * 2)[:200]

    for n_shared, what, n_own in prompts:
        prompt = long[:n_shared] + [what * 50 + i for i in range(n_own)]
        want, _ = logits_sha256(model, prompt, prefix_cache=False)

        got, _ = logits_sha256(model, prompt, prefix_cache=True)

        assert got == want
        assert model.prefix_cache.stats.n_chunks <= budget_chunks


def test_what_was_not_used_for_the_longest_time_goes_first(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 4))
    first, second, third = ([name] * 129 for name in (1, 2, 3))
    for prompt in (first, second, first, third):
        logits_sha256(model, prompt, prefix_cache=True)

    known = {
        name: logits_sha256(model, prompt, prefix_cache=True)[1]
        for name, prompt in {"first": first, "third": third, "second": second}.items()
    }

    assert known == {"first": 128, "third": 128, "second": 0}


def test_the_end_of_a_text_goes_before_its_beginning(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 4))
    logits_sha256(model, [1] * 257, prefix_cache=True)
    logits_sha256(model, [2] * 129, prefix_cache=True)

    _, known = logits_sha256(model, [1] * 257, prefix_cache=True)

    assert known == 128


def test_a_prompt_beyond_the_budget_leaves_its_beginning(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 2))
    logits_sha256(model, [1] * 600, prefix_cache=True)

    assert model.prefix_cache.stats.size_bytes == n_bytes(model, 2)
    assert logits_sha256(model, [1] * 600, prefix_cache=True)[1] == 128


def test_what_is_driven_out_or_cleared_gives_its_memory_back(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 3))
    gc.disable()  # memory must not wait for a collection
    try:
        for name in range(5):
            logits_sha256(model, [name] * 129, prefix_cache=True)
        used = model.decoder.kv_memory()["used_bytes"]
        model.prefix_cache.clear()
        left = model.decoder.kv_memory()["used_bytes"]
    finally:
        gc.enable()

    assert (used, left) == (n_bytes(model, 3), 0)


def test_hits_are_counted(model: Model) -> None:
    for _ in range(2):
        logits_sha256(model, SYSTEM, prefix_cache=True)

    stats = model.prefix_cache.stats
    assert (stats.asked_tokens, stats.found_tokens, stats.n_chunks) == (300, 128, 2)


def test_timing_tells_cached_tokens(model: Model) -> None:
    told = []
    for _ in range(2):
        with model.session(prefix_cache=True) as session:
            list(session.generate(SYSTEM, max_tokens=2))
            told.append((session.timing.prompt_tokens, session.timing.cached_tokens))

    assert told == [(150, 0), (150, 128)]


def test_generate_and_chat_use_it(model: Model) -> None:
    text = "The same beginning, long enough to fill a chunk of sixty-four tokens: "
    asked = [[{"role": "user", "content": text + end}] for end in "ab"]
    alone = load(model.path, threads=1, prefix_cache_bytes=0)
    want = [alone.generate(text + end, max_tokens=9) for end in "ab"]
    want += [alone.chat(messages, max_tokens=9) for messages in asked]

    got = [model.generate(text + end, max_tokens=9) for end in "ab"]
    found = [model.prefix_cache.stats.found_tokens]
    got += [model.chat(messages, max_tokens=9) for messages in asked]
    found.append(model.prefix_cache.stats.found_tokens)

    assert got == want
    assert found == [64, 128]
    assert alone.prefix_cache.stats.n_chunks == 0


def test_what_a_file_holds_is_handed_to_nobody(model: Model, tmp_path: Path) -> None:
    with model.session() as session:
        session.prefill(SYSTEM)
        session.save(tmp_path / "saved")

    with model.session(prefix_cache=True) as session:
        session.restore(tmp_path / "saved")
        session.prefill([1] * 50)

    assert model.prefix_cache.stats.n_chunks == 0


def test_an_answer_from_a_state_takes_nothing_and_gives_nothing(
    model: Model, tmp_path: Path
) -> None:
    text = "The sea is deep. " * 12
    want = model.generate(text, max_tokens=9)
    model.prefix_cache.clear()
    before = model.prefix_cache.stats
    with model.session() as session:
        session.prefill(model.tokenizer.encode(text)[:30])
        session.save(tmp_path / "saved")

    got = model.generate(text, max_tokens=9, state=tmp_path / "saved")
    other = model.generate(text + "So", max_tokens=9, state=tmp_path / "saved", speculate="prompt")

    assert got == want
    assert model.prefix_cache.stats == before
    assert other == model.generate(text + "So", max_tokens=9)


def test_a_session_uses_it_only_when_asked(model: Model) -> None:
    for _ in range(2):
        _, known = logits_sha256(model, SYSTEM, prefix_cache=False)

    assert (known, model.prefix_cache.stats.asked_tokens) == (0, 0)


@pytest.mark.parametrize("budget", [-1, 1.5, "1", None, True])
def test_a_budget_that_is_none_is_refused_before_anything_is_read(budget: object) -> None:
    with pytest.raises(UsageError, match="prefix_cache_bytes is"):
        load("missing.gguf", prefix_cache_bytes=budget)


def test_threads_may_share_it(path: Path) -> None:
    model = load(path, threads=1)
    model.prefix_cache = PrefixCache(n_bytes(model, 3))
    prompts = [SYSTEM[:n] + [n] * 40 for n in (30, 64, 70, 128, 149)]
    want = [logits_sha256(model, prompt, prefix_cache=False)[0] for prompt in prompts]
    got: list[list[str]] = [[] for _ in range(4)]

    def ask(into: list[str]) -> None:
        for prompt in prompts:
            into.append(logits_sha256(model, prompt, prefix_cache=True)[0])

    threads = [threading.Thread(target=ask, args=(into,)) for into in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert got == [want] * 4


# What is pinned.


def pin(model: Model, tokens: list[int]) -> int:
    """Pin the full chunks of some tokens; the bytes that this took."""
    with model.session() as session:
        session.prefill(tokens)
        return model.prefix_cache.pin(session.cache, session.tokens)


def test_what_is_pinned_stays_beside_the_budget(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 2))
    logits_sha256(model, [1] * 129, prefix_cache=True)

    taken = pin(model, [1] * 65 + [9] * 200)
    for name in (2, 3, 4):
        logits_sha256(model, [name] * 129, prefix_cache=True)

    stats = model.prefix_cache.stats
    assert taken == stats.pinned_bytes == n_bytes(model, 4)
    assert stats.size_bytes == n_bytes(model, 6)
    want, _ = logits_sha256(model, [1] * 65 + [9] * 200, prefix_cache=False)
    assert logits_sha256(model, [1] * 65 + [9] * 200, prefix_cache=True) == (want, 256)
    assert logits_sha256(model, [4] * 129, prefix_cache=True)[1] == 128


def test_what_was_kept_already_is_pinned_and_counted_once(model: Model) -> None:
    logits_sha256(model, SYSTEM, prefix_cache=True)

    taken = [pin(model, SYSTEM), pin(model, SYSTEM), pin(model, SYSTEM[:128] + [5] * 64)]

    assert taken == [n_bytes(model, 2), 0, n_bytes(model, 1)]
    assert model.prefix_cache.stats.n_chunks == 3


def test_prompts_beyond_what_is_pinned_are_kept_within_the_budget(model: Model) -> None:
    model.prefix_cache = PrefixCache(n_bytes(model, 1))
    pin(model, SYSTEM[:128])

    logits_sha256(model, SYSTEM[:128] + [3] * 130, prefix_cache=True)

    assert logits_sha256(model, SYSTEM[:128] + [3] * 130, prefix_cache=True)[1] == 192
    assert model.prefix_cache.stats.size_bytes == n_bytes(model, 3)


def test_what_is_pinned_is_found_where_nothing_else_is_kept(model: Model) -> None:
    model.prefix_cache = PrefixCache(0)
    pin(model, SYSTEM[:128])

    found = [logits_sha256(model, SYSTEM + [3] * 99, prefix_cache=True) for _ in range(2)]

    want, _ = logits_sha256(model, SYSTEM + [3] * 99, prefix_cache=False)
    assert found == [(want, 128)] * 2
    model.prefix_cache.clear()
    assert model.prefix_cache.stats.size_bytes == model.prefix_cache.stats.pinned_bytes == 0
