"""Answers of a session: their tokens, their text, how they end, and what a draw gets to know."""

import numpy as np
import pytest

from aboard.engine import Model, Sampling, Session, load
from engine.scripted import END_OF_TURN, Script, says
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


def test_an_answer_is_the_greedy_tokens_one_by_one(model: Model, session: Session) -> None:
    steps = list(session.generate(PROMPT, max_tokens=6))

    tokens = list(PROMPT)
    for step in steps:
        logits = model.logits(tokens)[-1]
        assert step.token == int(logits.argmax())
        exact = logits.astype(np.float64)
        exact -= np.log(np.exp(exact - exact.max()).sum()) + exact.max()
        assert step.logprob == pytest.approx(exact[step.token], abs=1e-5)
        tokens.append(step.token)
    assert len(steps) == 6


def test_an_answer_of_max_tokens_ends_by_length(session: Session) -> None:
    steps = list(session.generate(PROMPT, sampling=says("abcdef"), max_tokens=3))

    assert "".join(step.text for step in steps) == "abc"
    assert session.finish_reason == "length"
    # The last one is drawn and not processed; the next call begins with it.
    assert session.tokens == (*PROMPT, *b"ab")


def test_an_answer_ends_by_length_where_the_context_does(session: Session) -> None:
    steps = list(session.generate([1] * (CONTEXT - 2), sampling=says("abcdef")))

    assert [step.text for step in steps] == ["a", "b", "c"]
    assert session.finish_reason == "length"
    assert session.n_tokens == CONTEXT


def test_a_prompt_that_fills_the_context_still_gets_one_token(session: Session) -> None:
    steps = list(session.generate([1] * CONTEXT, sampling=says("abc")))

    assert [step.text for step in steps] == ["a"]
    assert session.finish_reason == "length"


def test_the_model_ends_its_answer_by_a_token_that_is_not_shown(session: Session) -> None:
    steps = list(session.generate(PROMPT, sampling=says("hi"), max_tokens=10))

    assert [(step.token, step.text) for step in steps] == [(104, "h"), (105, "i")]
    assert session.finish_reason == "stop"
    assert END_OF_TURN not in session.tokens


def test_an_answer_may_end_at_once(session: Session) -> None:
    assert list(session.generate(PROMPT, sampling=says(""))) == []
    assert session.finish_reason == "stop"


def test_text_that_might_have_become_a_stop_text_is_shown_when_the_model_ends(
    session: Session,
) -> None:
    steps = list(session.generate(PROMPT, sampling=says("abST"), stop=["STOP"]))

    assert [step.text for step in steps] == ["a", "b", "", "", "ST"]
    assert session.finish_reason == "stop"


def test_text_that_might_have_become_a_stop_text_is_shown_at_the_last_token(
    session: Session,
) -> None:
    steps = list(session.generate(PROMPT, sampling=says("abST"), stop=["STOP"], max_tokens=4))

    assert [step.text for step in steps] == ["a", "b", "", "ST"]
    assert session.finish_reason == "length"


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("one STOP two", ["STOP"], "one "),
        ("one STSTOP two", ["STOP"], "one ST"),
        ("one STO two STOP", ["STOP"], "one STO two "),
        ("STOP", ["STOP"], ""),
        ("aaab", ["aab"], "a"),
        ("one two", ["two", "one"], ""),
        ("1 näh ja", ["äh"], "1 n"),
        ("1 ✓ and on", "✓", "1 "),
        ("line\n\nmore", ["\n\n", "more"], "line"),
    ],
)
def test_an_answer_ends_before_a_stop_text_that_is_spread_over_tokens(
    session: Session, text: str, stop: list[str], shown: str
) -> None:
    steps = list(session.generate(PROMPT, sampling=says(text + " never"), stop=stop))

    assert "".join(step.text for step in steps) == shown
    assert session.finish_reason == "stop"


def test_a_stop_text_at_the_last_token_ends_the_answer_by_stop(session: Session) -> None:
    list(session.generate(PROMPT, sampling=says("aX"), stop=["X"], max_tokens=2))

    assert session.finish_reason == "stop"


def test_a_character_of_several_tokens_comes_with_the_last_of_them(session: Session) -> None:
    steps = list(session.generate(PROMPT, sampling=says("né✓")))

    assert [step.text for step in steps] == ["n", "", "é", "", "", "✓"]


@pytest.mark.parametrize("max_tokens", [2, 10])
def test_a_character_that_stays_incomplete_is_shown_as_such(
    session: Session, max_tokens: int
) -> None:
    cut = Script("a✓".encode()[:2])

    steps = list(session.generate(PROMPT, sampling=cut, max_tokens=max_tokens))

    assert "".join(step.text for step in steps) == "a\ufffd"


def test_log_probabilities_are_left_out_where_nobody_asks(session: Session) -> None:
    steps = list(session.generate(PROMPT, max_tokens=2, logprobs=False))

    assert [step.logprob for step in steps] == [None, None]


def test_a_seed_decides_the_answer(model: Model) -> None:
    def answer(seed: int) -> list[int]:
        sampling = Sampling(temperature=1.5, seed=seed)
        steps = model.session().generate(PROMPT, sampling=sampling, max_tokens=20)
        return [step.token for step in steps]

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_a_draw_knows_the_tokens_before_it_and_where_the_prompt_ended(session: Session) -> None:
    script = Script([7, 8], frequency_penalty=1.0)
    session.prefill([1])

    list(session.generate([2, 3], sampling=script))

    assert script.seen == [([1, 2, 3], 3, 3), ([1, 2, 3, 7], 4, 3), ([1, 2, 3, 7, 8], 5, 3)]


def test_a_draw_without_penalties_is_not_handed_the_context(session: Session) -> None:
    script = Script([7])

    list(session.generate([2, 3], sampling=script))

    assert script.seen == [([], 2, 2), ([], 3, 2)]


def test_timing_counts_the_tokens_of_the_last_answer(session: Session) -> None:
    list(session.generate(PROMPT, sampling=says("abc")))

    timing = session.timing
    assert (timing.prompt_tokens, timing.generated_tokens) == (5, 3)
    assert 0 < timing.prompt_s <= timing.first_token_s
    assert timing.decode_s > 0
