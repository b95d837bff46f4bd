"""Speculation changes no token: every answer is that of plain decoding, whatever is guessed."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aboard.engine import (
    DraftModel,
    Model,
    PromptLookup,
    Sampling,
    Session,
    load,
    speculation_draft,
    speculation_lookup,
)
from aboard.engine.speculation import MAX_DRAFT, _DraftCost
from aboard.errors import UsageError
from engine.scripted import END_OF_TURN
from tiny import FORMATS, tiny_llama

CONTEXT = 160
PROMPTS = {
    "letters": list(b"abcabcabcabc"),
    "quotes": list(b"the cat sat on the mat. the cat sat on the"),
    "any": [(37 * i + 11) % 256 for i in range(70)],
    "one": [65],
}
SAMPLINGS = {
    "greedy": Sampling(),
    "hot": Sampling(temperature=1.2, seed=7),
    "top": Sampling(temperature=0.9, top_k=12, top_p=0.9, min_p=0.02, seed=2**63),
    "penalties": Sampling(
        temperature=0.7, repetition_penalty=1.3, presence_penalty=0.4, frequency_penalty=0.6, seed=3
    ),
    "greedy with penalties": Sampling(repetition_penalty=1.1, frequency_penalty=1.5),
    "bias": Sampling(logit_bias={97: 3.0, 98: float("-inf")}, temperature=0.5, seed=1),
    "ends early": Sampling(temperature=1.0, seed=5, logit_bias={END_OF_TURN: 4.0}),
}


class Knows:
    """Guesses what it was told will come, wrong at every `wrong`-th token."""

    def __init__(self, answer: Sequence[int], wrong: int = 0, length: int = MAX_DRAFT) -> None:
        self.answer = list(answer)
        self.wrong = wrong
        self.length = length
        self.limits: list[int] = []

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        self.drawn = 0

    def push(self, token: int) -> None:
        self.drawn += 1

    def propose(self, limit: int, cost: object) -> Sequence[int]:
        self.limits.append(limit)
        guess = self.answer[self.drawn : self.drawn + self.length]
        return [
            (token + 1) % 256 if self.wrong and (self.drawn + i) % self.wrong == 0 else token
            for i, token in enumerate(guess)
        ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0", seed=4)


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return load(path, threads=1, context=CONTEXT)


@pytest.fixture(scope="module")
def relative(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The same weights, rounded to 4 bits: it agrees often, not always."""
    folder = tmp_path_factory.mktemp("relative")
    return load(tiny_llama(folder / "tiny.gguf", fmt="F32", seed=4), threads=1)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses as long as they may be, worth it or not."""
    for module in (speculation_lookup, speculation_draft):
        monkeypatch.setattr(module, "worthwhile", lambda chances, cost: len(list(chances)))


def answered(
    model: Model, tokens: Sequence[int], *, prefix_cache: bool = False, **options: object
) -> tuple[Session, str]:
    """The session after an answer, and the hash of all it gave."""
    session = model.session(prefix_cache=prefix_cache)
    steps = list(session.generate(tokens, **options))
    given = [(step.token, step.text, step.logprob) for step in steps]
    whole = repr((given, session.finish_reason, session.tokens))
    return session, hashlib.sha256(whole.encode()).hexdigest()


def tokens_of(model: Model, tokens: Sequence[int], **options: object) -> list[int]:
    return [step.token for step in model.session().generate(tokens, **options)]


# The answer.


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("kind", ["prompt", "relative", "itself"])
def test_an_answer_has_the_hash_of_plain_decoding(
    model: Model, relative: Model, prompt: list[int], sampling: Sampling, kind: str
) -> None:
    speculate = {"prompt": "prompt", "relative": relative, "itself": model}[kind]
    _, plain = answered(model, prompt, sampling=sampling)

    session, got = answered(model, prompt, sampling=sampling, speculate=speculate)

    assert got == plain
    assert kind == "prompt" or session.timing.drafted_tokens > 0


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_answers_as_without_speculation(fmt: str, tmp_path: Path) -> None:
    file = tiny_llama(tmp_path / "tiny.gguf", fmt=fmt, width=256, ffn=256)
    loaded = load(file, threads=2, context=CONTEXT)
    _, plain = answered(loaded, PROMPTS["any"])
    knows = Knows(tokens_of(loaded, PROMPTS["any"]), wrong=6)

    session, got = answered(loaded, PROMPTS["any"], speculate=knows)

    assert got == plain
    assert session.timing.accepted_tokens > 0


@pytest.mark.parametrize("length", [1, 2, 7, MAX_DRAFT])
@pytest.mark.parametrize("wrong", [0, 1, 2, 5, 16])
@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_guess_right_or_wrong_at_any_token_changes_nothing(
    model: Model, name: str, wrong: int, length: int
) -> None:
    sampling = SAMPLINGS[name]
    _, plain = answered(model, PROMPTS["any"], sampling=sampling)
    knows = Knows(tokens_of(model, PROMPTS["any"], sampling=sampling), wrong, length)

    _, got = answered(model, PROMPTS["any"], sampling=sampling, speculate=knows)

    assert got == plain


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 16, 17, 18, 30])
def test_max_tokens_ends_an_answer_at_the_same_token(model: Model, max_tokens: int) -> None:
    _, plain = answered(model, PROMPTS["any"], max_tokens=max_tokens)
    knows = Knows(tokens_of(model, PROMPTS["any"]))

    session, got = answered(model, PROMPTS["any"], max_tokens=max_tokens, speculate=knows)

    assert got == plain
    assert session.timing.generated_tokens == max_tokens


def test_no_token_is_guessed_that_nobody_may_draw(model: Model) -> None:
    knows = Knows([1] * CONTEXT)

    list(model.session().generate(PROMPTS["one"], max_tokens=5, speculate=knows))

    assert knows.limits == [3, 2, 1]


@pytest.mark.parametrize("left", [0, 1, 2, 15, 16, 17, 40])
def test_the_end_of_the_context_ends_an_answer_at_the_same_token(model: Model, left: int) -> None:
    prompt = [(37 * i + 11) % 256 for i in range(CONTEXT - left)]
    _, plain = answered(model, prompt)
    knows = Knows([*tokens_of(model, prompt), *b"and on"])

    session, got = answered(model, prompt, speculate=knows)

    assert got == plain
    assert session.n_tokens == CONTEXT


@pytest.mark.parametrize("at", [0, 1, 5, 20])
def test_the_models_own_end_within_a_guess_ends_the_answer(model: Model, at: int) -> None:
    said = tokens_of(model, PROMPTS["any"])
    ends = Sampling(logit_bias={said[at]: float("-inf"), END_OF_TURN: 100.0}) if at == 0 else None
    sampling = ends or _ends_after(model, said[:at])
    _, plain = answered(model, PROMPTS["any"], sampling=sampling)
    knows = Knows([*said[:at], END_OF_TURN, *b"never said"])

    session, got = answered(model, PROMPTS["any"], sampling=sampling, speculate=knows)

    assert got == plain
    assert session.finish_reason == "stop"
    assert END_OF_TURN not in session.tokens


def _ends_after(model: Model, said: Sequence[int]) -> Sampling:
    """Sampling that draws the end of turn after `said`: the draw depends on the position alone."""

    class Ends(Sampling):
        def draw(self, logits, context=(), position=0, **options):  # type: ignore[no-untyped-def]
            if position - options["n_prompt"] == len(said):
                logits = np.full_like(logits, -1.0)
                logits[END_OF_TURN] = 0.0
            return super().draw(logits, context, position, **options)

    return Ends()


@pytest.mark.parametrize("stop", ["q", "\n", "a", "the"])
def test_a_stop_text_within_a_guess_ends_the_answer(model: Model, stop: str) -> None:
    sampling = Sampling(temperature=0.8, seed=9, logit_bias=dict.fromkeys(range(97, 123), 9.0))
    said = tokens_of(model, PROMPTS["any"], sampling=sampling)
    text = bytes(said[10:13]).decode("latin-1") if stop == "the" else stop
    _, plain = answered(model, PROMPTS["any"], sampling=sampling, stop=[text])

    _, got = answered(model, PROMPTS["any"], sampling=sampling, stop=[text], speculate=Knows(said))

    assert got == plain


@pytest.fixture(scope="module")
def demo(demo_model: Path) -> Model:
    return load(demo_model, context=512)


@pytest.mark.model
@pytest.mark.parametrize("name", ["greedy", "hot", "penalties"])
def test_the_demo_model_answers_as_without_speculation(
    demo: Model, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_DraftCost, "learn", lambda *_: None)  # whatever this machine's speed
    prompt = demo.tokenizer.encode("red, green, blue, yellow, black, white\n" * 5 + "red, green,")
    sampling = SAMPLINGS[name]
    _, plain = answered(demo, prompt, sampling=sampling, max_tokens=24)

    session, got = answered(demo, prompt, sampling=sampling, max_tokens=24, speculate="prompt")

    assert got == plain
    assert name != "greedy" or session.timing.accepted_tokens > 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing_in_a_verified_guess(model: Model, threads: int) -> None:
    _, plain = answered(model, PROMPTS["any"])
    knows = Knows(tokens_of(model, PROMPTS["any"]), wrong=7)
    model.threads = threads

    _, got = answered(model, PROMPTS["any"], speculate=knows)

    model.threads = 1
    assert got == plain


@pytest.mark.usefixtures("eager")
def test_text_comes_the_same_through_generate_and_chat(model: Model, relative: Model) -> None:
    messages = [{"role": "user", "content": "hi hi hi"}]

    for speculate in ("prompt", relative, PromptLookup(), DraftModel(relative)):
        options = {"max_tokens": 30, "temperature": 0.4, "seed": 2}
        assert model.generate("ab ab ab", speculate=speculate, **options) == model.generate(
            "ab ab ab", **options
        )
        assert model.chat(messages, speculate=speculate, **options) == model.chat(
            messages, **options
        )


# What is reported.


def test_timing_tells_what_was_guessed_and_what_was_right(model: Model) -> None:
    said = tokens_of(model, PROMPTS["any"], max_tokens=21)
    session = model.session()

    list(session.generate(PROMPTS["any"], max_tokens=21, speculate=Knows(said, length=4)))

    # 20 passes of one token would follow the first; 4 passes of 1 + 4 tokens do the same.
    assert (session.timing.drafted_tokens, session.timing.accepted_tokens) == (16, 16)


def test_timing_of_a_plain_answer_has_no_guesses(model: Model) -> None:
    session = model.session()

    list(session.generate(PROMPTS["one"], max_tokens=5))

    assert (session.timing.drafted_tokens, session.timing.accepted_tokens) == (0, 0)


# The session meanwhile.


@pytest.mark.parametrize("after", [1, 2, 5, 16, 17])
def test_an_answer_given_up_within_a_guess_leaves_the_session_of_plain_decoding(
    model: Model, tmp_path: Path, after: int
) -> None:
    said = tokens_of(model, PROMPTS["any"])
    plain, guessed = model.session(), model.session()
    for session, speculate in ((plain, None), (guessed, Knows(said))):
        steps = session.generate(PROMPTS["any"], speculate=speculate)
        for _ in range(after):
            next(steps)
        session.save(tmp_path / str(speculate is None))
        steps.close()

    assert guessed.tokens == plain.tokens
    assert (tmp_path / "True").read_bytes() == (tmp_path / "False").read_bytes()
    assert guessed.decode(77).tobytes() == plain.decode(77).tobytes()


def test_a_session_saved_within_a_guess_goes_on_with_the_same_answer(
    model: Model, tmp_path: Path
) -> None:
    said = tokens_of(model, PROMPTS["any"])
    session = model.session()
    got = []

    for step in session.generate(PROMPTS["any"], speculate=Knows(said)):
        got.append(step.token)
        session.save(tmp_path / "saved")

    assert got == said


@pytest.mark.parametrize(
    "interfere",
    [
        lambda session: session.rewind(3),
        lambda session: session.decode(1),
        lambda session: session.prefill([1, 2]),
        lambda session: session.model.decode_together([session], [1]),
        lambda session: session.close(),
    ],
    ids=["rewind", "decode", "prefill", "together", "close"],
)
def test_a_session_used_for_something_else_ends_the_answer_within_a_guess(
    model: Model, interfere: Callable[[Session], object]
) -> None:
    session = model.session()
    steps = session.generate(PROMPTS["any"], speculate=Knows(tokens_of(model, PROMPTS["any"])))
    for _ in range(4):
        next(steps)

    interfere(session)

    with pytest.raises(UsageError, match="used for something else"):
        next(steps)


# Beside the prefix cache.


@pytest.mark.parametrize("wrong", [0, 3])
def test_an_answer_after_a_known_beginning_is_that_of_plain_decoding(
    path: Path, wrong: int
) -> None:
    fresh = load(path, threads=1, context=CONTEXT)
    _, plain = answered(fresh, PROMPTS["any"])
    knows = Knows(tokens_of(fresh, PROMPTS["any"]), wrong)
    with fresh.session(prefix_cache=True) as donor:
        donor.prefill(PROMPTS["any"])

    session, got = answered(fresh, PROMPTS["any"], prefix_cache=True, speculate=knows)

    assert got == plain
    assert (session.timing.prompt_tokens, session.timing.cached_tokens) == (70, 64)
    assert session.timing.accepted_tokens > 0


@pytest.mark.parametrize("guessed", ["right", "wrong"])
@pytest.mark.parametrize("end", ["stop", "given up"])
def test_of_a_guess_the_prefix_cache_keeps_only_what_was_drawn(
    path: Path, end: str, guessed: str
) -> None:
    fresh = load(path, threads=1, context=CONTEXT)
    said = tokens_of(fresh, PROMPTS["any"])
    wrong = [(token + 1) % 256 for token in said[53:]]
    knows = Knows(said if guessed == "right" else [*said[:53], *wrong])
    sampling = _ends_after(fresh, said[:53]) if end == "stop" else Sampling()
    with fresh.session(prefix_cache=True) as session:
        steps = session.generate(PROMPTS["any"], sampling=sampling, speculate=knows)
        for _ in range(53):
            next(steps)
        n_computed = session._cache.size
        if end == "stop":
            list(steps)
        held, reason = session.tokens, session.finish_reason

    with fresh.session(prefix_cache=True) as heir:
        row = heir.prefill([*held, 5])

    assert n_computed >= 128 > len(held)  # the guess filled a chunk that the answer didn't
    assert reason == ("stop" if end == "stop" else None)
    assert heir.cached_tokens == 64
    assert row.tobytes() == fresh.logits([*held, 5])[-1].tobytes()


# A draft model.


@pytest.mark.usefixtures("eager")
def test_a_draft_model_keeps_its_session_in_step(model: Model, relative: Model) -> None:
    drafter = DraftModel(relative)
    session = model.session()

    for prompt in (PROMPTS["any"][:40], PROMPTS["letters"]):  # the second continues the first
        list(session.generate(prompt, max_tokens=20, speculate=drafter))

    held = drafter._session.tokens
    assert held[:78] == session.tokens[:78]


@pytest.mark.usefixtures("eager")
def test_a_model_guesses_its_own_answer_right_at_any_temperature(model: Model) -> None:
    session = model.session()
    sampling = Sampling(temperature=1.3, top_p=0.95, repetition_penalty=1.2, seed=11)

    list(session.generate(PROMPTS["any"], sampling=sampling, max_tokens=60, speculate=model))

    assert session.timing.drafted_tokens > 40
    assert session.timing.accepted_tokens == session.timing.drafted_tokens


@pytest.mark.usefixtures("eager")
def test_beyond_the_draft_models_context_nothing_is_guessed(path: Path, model: Model) -> None:
    short = load(path, threads=1, context=30)
    _, plain = answered(model, PROMPTS["letters"], max_tokens=60)

    session, got = answered(model, PROMPTS["letters"], max_tokens=60, speculate=short)

    assert got == plain
    assert 0 < session.timing.drafted_tokens <= 30
