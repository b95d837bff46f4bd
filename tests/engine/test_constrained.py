"""Answers held to a grammar: alone, together, guessed ahead, cut; the same tokens everywhere."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
import pytest

import aboard
from aboard.engine import Grammar, Model, Sampling, Step, load
from aboard.errors import UsageError
from engine.scripted import END_OF_TURN
from tiny import tiny_llama

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
SAMPLINGS = {
    "greedy": Sampling(),
    "hot": Sampling(temperature=1.5, seed=11),
    "penalties": Sampling(temperature=0.8, frequency_penalty=1.0, repetition_penalty=1.2, seed=5),
    "filtered": Sampling(temperature=1.0, top_k=5, top_p=0.9, seed=8),
}
PROMPT = list(b"a person, as JSON: " * 8)
Answer = tuple[list[int], str, str | None, bool | None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")
    return load(path, threads=1, context=512)


@pytest.fixture(scope="module")
def person() -> Grammar:
    return Grammar.json_schema(PERSON)


@pytest.fixture(scope="module")
def answer(model: Model, person: Grammar) -> Callable[..., Answer]:
    def ask(**options: Any) -> Answer:
        with model.session() as session:
            steps = list(session.generate(PROMPT, constraint=person, **options))
            return *told(steps), session.finish_reason, session.complete

    return ask


def told(steps: Sequence[Step]) -> tuple[list[int], str]:
    return [step.token for step in steps], "".join(step.text for step in steps)


def check(text: str) -> None:
    jsonschema.Draft202012Validator(PERSON).validate(json.loads(text))


@pytest.mark.parametrize("name", SAMPLINGS)
def test_an_answer_that_ended_is_valid(answer: Callable[..., Answer], name: str) -> None:
    _, text, reason, complete = answer(sampling=SAMPLINGS[name])

    assert (reason, complete) == ("stop", True)
    check(text)


def test_it_ends_with_the_token_after_which_nothing_may_follow(
    answer: Callable[..., Answer],
) -> None:
    tokens, text, *_ = answer()

    assert text.endswith("}")
    assert bytes(tokens) == text.encode()  # no token that ends turns was asked for


def test_an_answer_that_was_cut_is_told_apart(answer: Callable[..., Answer]) -> None:
    whole = answer()[1]

    tokens, text, reason, complete = answer(max_tokens=10)

    assert (len(tokens), reason, complete) == (10, "length", False)
    assert whole.startswith(text)


def test_the_last_token_may_be_the_last_allowed(answer: Callable[..., Answer]) -> None:
    whole = answer()

    assert answer(max_tokens=len(whole[0])) == whole


def test_a_stop_text_ends_an_answer_that_is_not_whole(answer: Callable[..., Answer]) -> None:
    _, text, reason, complete = answer(stop=["age"])

    assert (text.endswith('"'), reason, complete) == (True, "stop", False)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_guesses_change_no_token(answer: Callable[..., Answer], name: str) -> None:
    plain = answer(sampling=SAMPLINGS[name])

    assert answer(sampling=SAMPLINGS[name], speculate="prompt") == plain


class Guesses:
    """A drafter that is always sure of the same text."""

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        self.seen: list[Sequence[int]] = []

    def push(self, token: int) -> None:
        pass

    def propose(self, limit: int, cost: object) -> Sequence[int]:
        return list(b'"name": "x' + bytes([END_OF_TURN - 256, 200]))


def test_guesses_that_the_grammar_forbids_are_not_computed(
    model: Model, person: Grammar, answer: Callable[..., Answer]
) -> None:
    with model.session() as session:
        steps = list(session.generate(PROMPT, constraint=person, speculate=Guesses()))
        timing = session.timing

    assert [step.token for step in steps] == answer()[0]
    assert 0 < timing.drafted_tokens < 12 * len(steps) / 2


@pytest.mark.parametrize("name", SAMPLINGS)
def test_answers_together_are_those_alone(
    model: Model, person: Grammar, answer: Callable[..., Answer], name: str
) -> None:
    alone = answer(sampling=SAMPLINGS[name])

    with model.batch(prompt_slice=16) as batch:
        free = batch.submit(PROMPT, sampling=SAMPLINGS[name], max_tokens=50)
        held = [batch.submit(PROMPT, sampling=SAMPLINGS[name], constraint=person) for _ in range(3)]
        answers = [told(list(request)) for request in held]
        free.text()

    assert answers == [alone[:2]] * 3
    assert [(each.finish_reason, each.complete) for each in held] == [alone[2:]] * 3
    assert free.complete is None


def test_known_beginnings_change_no_token(model: Model, person: Grammar) -> None:
    def ask() -> tuple[list[int], int]:
        with model.session(prefix_cache=True) as session:
            tokens = [step.token for step in session.generate(PROMPT, constraint=person)]
            return tokens, session.timing.cached_tokens

    first, again = ask(), ask()

    assert first[0] == again[0]
    assert again[1] > 0


def test_texts_of_a_model_are_held_to_a_grammar(model: Model, person: Grammar) -> None:
    check(model.generate("a person: ", constraint=person))
    check(model.chat([{"role": "user", "content": "a person"}], constraint=person))
    check("".join(model.generate("a person: ", constraint=person, stream=True)))
    for text in model.generate_many(["one: ", "two: "], constraint=person, temperature=1.0):
        check(text)


def test_what_is_no_grammar_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="constraint is a dict, expected a Grammar"):
        model.generate("x", constraint={"type": "object"})


def test_the_package_has_it() -> None:
    assert aboard.Grammar is Grammar
