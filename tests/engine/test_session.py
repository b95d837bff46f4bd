"""Sessions: what they hold, what is refused, and what an interruption leaves."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from aboard.engine import Model, Sampling, Session, load
from aboard.errors import ContextOverflow, UsageError
from engine.scripted import says
from tiny import tiny_llama

CONTEXT = 96
PROMPT = [10, 20, 30, 40, 50]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    return load(tiny_llama(folder / "tiny.gguf", fmt="Q8_0"), threads=1, context=CONTEXT)


@pytest.fixture
def session(model: Model) -> Session:
    return model.session()


def next_logits(model: Model, tokens: list[int]) -> bytes:
    return model.logits(tokens)[-1].tobytes()


# What a session holds.


def test_a_new_session_is_empty(session: Session) -> None:
    assert (session.tokens, session.n_tokens, session.finish_reason) == ((), 0, None)


def test_prefill_gives_the_logits_after_the_last_token(model: Model, session: Session) -> None:
    got = session.prefill(PROMPT)

    assert (got.shape, got.dtype) == ((259,), np.float32)
    assert session.tokens == tuple(PROMPT)
    assert got.tobytes() == next_logits(model, PROMPT)


def test_decode_gives_the_logits_after_its_token(model: Model, session: Session) -> None:
    session.prefill(PROMPT)

    got = session.decode(60)

    assert session.n_tokens == 6
    assert got.tobytes() == next_logits(model, [*PROMPT, 60])


def test_logits_continue_what_is_there(model: Model, session: Session) -> None:
    session.prefill(PROMPT[:2])

    got = session.logits(PROMPT[2:])

    assert (got.shape, got.dtype) == ((3, 259), np.float32)
    assert got.tobytes() == model.logits(PROMPT)[2:].tobytes()


def test_tokens_may_come_from_any_iterable(session: Session) -> None:
    session.prefill(iter(PROMPT))
    session.prefill(np.array(PROMPT, np.uint16))
    session.prefill(tuple(np.int64(token) for token in PROMPT))
    session.prefill(np.array(PROMPT)[::-1])

    assert session.tokens == (*PROMPT * 3, *reversed(PROMPT))


def test_reset_forgets_everything(model: Model, session: Session) -> None:
    session.prefill(PROMPT)

    session.reset()

    assert session.tokens == ()
    assert session.prefill([7]).tobytes() == next_logits(model, [7])


def test_rewind_forgets_the_end(model: Model, session: Session) -> None:
    session.prefill(PROMPT)

    session.rewind(2)

    assert session.tokens == (10, 20)
    assert session.decode(99).tobytes() == next_logits(model, [10, 20, 99])


@pytest.mark.parametrize("n_tokens", [-1, 6, 1.0, "2", True, None])
def test_a_rewind_to_where_no_token_is_is_refused(session: Session, n_tokens: object) -> None:
    session.prefill(PROMPT)

    with pytest.raises(UsageError, match=r"can't rewind to .* there are 5"):
        session.rewind(n_tokens)

    assert session.tokens == tuple(PROMPT)


# What is refused.


@pytest.mark.parametrize(
    "tokens",
    [
        [259],
        [-1],
        [2**31],
        [2**32],  # 0 in 32 bits
        [2**70],
        [1.0],
        [True],
        [None],
        ["a"],
        "ab",
        [[1], [2]],
        [[1], [2, 3]],
        5,
        None,
        np.array([1.0]),
        np.array([2**32 + 5], np.uint64),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["prefill", "logits", "generate"])
def test_what_are_no_tokens_is_refused(session: Session, method: str, tokens: object) -> None:
    session.prefill(PROMPT)

    with pytest.raises(UsageError, match=r"token.* (is not in the vocabulary|expected)"):
        getattr(session, method)(tokens)

    assert session.tokens == tuple(PROMPT)


@pytest.mark.parametrize("method", ["prefill", "logits", "generate"])
def test_no_tokens_at_all_are_refused(session: Session, method: str) -> None:
    with pytest.raises(UsageError, match="no tokens"):
        getattr(session, method)([])


@pytest.mark.parametrize("chunk", [0, -1, 1.5, "3", None, True])
def test_a_chunk_of_no_tokens_is_refused(session: Session, chunk: object) -> None:
    with pytest.raises(UsageError, match="chunk is"):
        session.prefill(PROMPT, chunk=chunk)


@pytest.mark.parametrize("method", ["prefill", "logits", "generate"])
def test_a_prompt_beyond_the_context_is_refused_and_nothing_is_processed(
    model: Model, session: Session, method: str
) -> None:
    session.prefill(PROMPT)

    with pytest.raises(ContextOverflow, match="97 tokens, the context holds 96") as caught:
        getattr(session, method)([1] * 92)

    assert caught.value.hint
    assert session.tokens == tuple(PROMPT)
    assert session.decode(60).tobytes() == next_logits(model, [*PROMPT, 60])


def test_the_context_may_be_filled_to_the_last_token(session: Session) -> None:
    session.prefill([1] * CONTEXT)

    with pytest.raises(ContextOverflow, match="97 tokens"):
        session.decode(1)

    assert session.n_tokens == CONTEXT


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": -5}, "max_tokens is -5"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"max_tokens": "9"}, "max_tokens is '9'"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"stop": [""]}, "a stop text is ''"),
        ({"stop": [b"x"]}, "a stop text is b'x'"),
        ({"stop": 5}, "stop texts are 5"),
        ({"stop": None}, "stop texts are None"),
        ({"sampling": {"temperature": 1}}, "sampling is a dict"),
    ],
)
def test_an_option_out_of_its_range_is_refused_before_anything_is_processed(
    session: Session, options: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        session.generate(PROMPT, **options)

    assert session.n_tokens == 0


USES: dict[str, Callable[[Session], object]] = {
    "prefill": lambda session: session.prefill([1]),
    "decode": lambda session: session.decode(1),
    "logits": lambda session: session.logits([1]),
    "generate": lambda session: session.generate([1]),
    "reset": lambda session: session.reset(),
    "save": lambda session: session.save("never"),
    "cache": lambda session: session.cache,
    "together": lambda session: session.model.decode_together([session], [1]),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_session_is_refused(session: Session, use: str) -> None:
    session.prefill(PROMPT)
    session.close()

    with pytest.raises(UsageError, match="the session is closed"):
        USES[use](session)


def test_a_session_closes_with_its_context_and_may_be_closed_again(model: Model) -> None:
    with model.session() as session:
        session.prefill(PROMPT)
    session.close()

    with pytest.raises(UsageError, match="closed"):
        session.decode(1)


# Interruptions.


def test_an_abandoned_answer_leaves_what_was_processed(model: Model, session: Session) -> None:
    steps = session.generate(PROMPT, sampling=says("abcdef"))
    next(steps)
    next(steps)
    steps.close()

    assert session.finish_reason is None
    assert session.tokens == (*PROMPT, *b"a")
    assert session.decode(7).tobytes() == next_logits(model, [*PROMPT, 97, 7])


def test_an_answer_nobody_asked_for_costs_nothing(session: Session) -> None:
    session.generate(PROMPT)

    assert session.n_tokens == 0


class InterruptedDecoder:
    """Ctrl-C during the n-th computation: Python tells of it as soon as the computation is over."""

    def __init__(self, real: object, at: int) -> None:
        self._real, self._left = real, at

    def forward(self, *arguments: object) -> object:
        logits = self._real.forward(*arguments)
        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGINT)
        return logits


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_ctrl_c_while_computing_leaves_tokens_and_keys_that_belong_together(
    model: Model, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    session = model.session()
    with monkeypatch.context() as patched:
        patched.setattr(model, "decoder", InterruptedDecoder(model.decoder, at))
        with pytest.raises(KeyboardInterrupt):
            list(session.generate(PROMPT, sampling=says("abcdef")))

    held = list(session.tokens)

    assert held == [*PROMPT, *b"abcdef"][: len(held)]
    assert session.cache.size == len(held)
    assert session.finish_reason is None
    assert session.decode(7).tobytes() == next_logits(model, [*held, 7])


@pytest.mark.parametrize("at", [1, 2, 3])
def test_ctrl_c_within_a_prompt_keeps_whole_chunks(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: int
) -> None:
    session = model.session()
    with monkeypatch.context() as patched:
        patched.setattr(model, "decoder", InterruptedDecoder(model.decoder, at))
        with pytest.raises(KeyboardInterrupt):
            session.prefill(range(30), chunk=10)
    session.save(tmp_path / "saved")
    restored = model.session()
    restored.restore(tmp_path / "saved")

    assert session.tokens == tuple(range(10 * (at - 1)))
    assert restored.tokens == session.tokens
    assert restored.decode(7).tobytes() == next_logits(model, [*session.tokens, 7])


def test_ctrl_c_in_a_batch_leaves_every_session_whole(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [model.session() for _ in range(3)]
    for session in sessions:
        session.prefill(PROMPT)
    with monkeypatch.context() as patched:
        patched.setattr(model, "decoder", InterruptedDecoder(model.decoder, 1))
        with pytest.raises(KeyboardInterrupt):
            model.decode_together(sessions, [1, 2, 3])

    again = model.decode_together(sessions, [4, 5, 6])

    assert [row.tobytes() for row in again] == [
        next_logits(model, [*PROMPT, token]) for token in (4, 5, 6)
    ]


# Threads.


def test_sessions_of_several_threads_answer_as_if_alone(model: Model) -> None:
    def answer(start: int) -> tuple[list[int], bytes]:
        with model.session() as session:
            sampling = Sampling(temperature=1.0, seed=start)
            steps = session.generate([start, 5], sampling=sampling, max_tokens=30)
            tokens = [step.token for step in steps]
            return tokens, session.prefill([start]).tobytes()

    alone = [answer(start) for start in range(4)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(answer, range(4)))

    assert together == alone
