"""The contract holds whatever the program around the engine does to its process."""

import copy
import ctypes
import hashlib
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aboard.engine import Model, load
from aboard.engine.device import force_isa, supported_isas
from aboard.errors import UsageError
from tiny import tiny_llama

TOKENS = list(range(80))
FE_TONEAREST, FE_UPWARD = 0, {"x86_64": 0x800, "aarch64": 0x400000}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q4_1")


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return load(path, threads=2)


def rounding_up(call: Callable[[], bytes]) -> bytes:
    """What `call` gives on a thread whose rounding mode is towards plus infinity."""
    import platform

    libm = ctypes.CDLL("libm.so.6")
    assert libm.fesetround(FE_UPWARD[platform.machine()]) == 0
    try:
        return call()
    finally:
        libm.fesetround(FE_TONEAREST)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("isa", supported_isas())
def test_a_callers_rounding_mode_changes_no_bit(path: Path, isa: str, threads: int) -> None:
    with force_isa(isa):
        want = load(path, threads=threads).logits(TOKENS).tobytes()

        got = rounding_up(lambda: load(path, threads=threads).logits(TOKENS).tobytes())

    assert got == want


def logits_sha256(model: Model) -> str:
    return hashlib.sha256(model.logits(TOKENS).tobytes()).hexdigest()


def logits_into(queue: object, model: Model) -> None:
    queue.put(logits_sha256(model))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_computes_computes_too(model: Model) -> None:
    want = logits_sha256(model)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            model.logits(TOKENS)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=logits_into, args=(queue, model)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    stop.set()
    busy.join()

    assert [child.exitcode for child in children] == [0] * 4
    assert [queue.get() for _ in children] == [want] * 4


def test_a_session_in_use_refuses_a_second_thread(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = model.session()
    refused: list[BaseException] = []

    class Intruded:
        """The decoder, which lets another thread try the session while it computes."""

        def forward(self, *arguments: object) -> object:
            def intrude() -> None:
                for use in (lambda: session.decode(1), lambda: session.generate([1])):
                    try:
                        use()
                    except UsageError as error:
                        refused.append(error)

            thread = threading.Thread(target=intrude)
            thread.start()
            thread.join()
            return real.forward(*arguments)

    real = model.decoder
    monkeypatch.setattr(model, "decoder", Intruded())
    steps = list(session.generate(TOKENS, max_tokens=1))

    assert len(steps) == 1
    assert ["in use by another thread" in str(error) for error in refused] == [True, True]
    assert list(session.tokens) == TOKENS


def test_an_answer_ends_where_its_session_was_rewound(model: Model) -> None:
    session = model.session()
    answer = session.generate(TOKENS, max_tokens=20)
    next(answer)
    session.reset()

    with pytest.raises(UsageError, match="used for something else"):
        next(answer)


def test_of_two_answers_on_one_session_the_first_ends(model: Model) -> None:
    session = model.session()
    first = session.generate(TOKENS, max_tokens=20)
    second = session.generate(TOKENS, max_tokens=5)

    with pytest.raises(UsageError, match="used for something else"):
        next(first)

    assert len(list(second)) == 5


def test_a_session_is_not_copied(model: Model) -> None:
    with pytest.raises(UsageError, match="can't be copied"):
        copy.copy(model.session())
