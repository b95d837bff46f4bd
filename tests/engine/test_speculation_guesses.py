"""A guess in a loop of one's own changes no logits; what is none or guesses nothing is refused."""

from pathlib import Path

import pytest

from aboard.engine import Model, PromptLookup, load
from aboard.errors import NumericalError, UsageError
from engine.made import SMALL, made, with_value
from tiny import tiny_llama

CONTEXT = 160
TOKENS = [(37 * i + 11) % 256 for i in range(70)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0", seed=4)
    return load(path, threads=1, context=CONTEXT)


def test_decode_gives_the_same_logits_whatever_is_guessed(model: Model) -> None:
    tokens = TOKENS
    plain = model.logits(tokens)
    session = model.session()
    passes = []

    for at, token in enumerate(tokens):
        wrong = [] if at % 3 else [0, 0]
        passes.append(session.foresees(token))
        row = session.decode(token, draft=[*tokens[at + 1 : at + 4], *wrong])

        assert row.tobytes() == plain[at].tobytes()
        assert session.tokens == tuple(tokens[: at + 1])
    assert sum(passes) > 40


@pytest.mark.parametrize("token", [5.0, "5", None, True, -1, 259])
def test_a_token_that_is_none_is_refused_though_the_guess_equals_it(
    model: Model, token: object
) -> None:
    session = model.session()
    session.decode(4, draft=[5, 1])

    with pytest.raises(UsageError):
        session.decode(token)

    assert session.decode(5).tobytes() == model.logits([4, 5])[-1].tobytes()


def test_a_guess_outside_the_vocabulary_is_refused(model: Model) -> None:
    session = model.session()

    with pytest.raises(UsageError, match="token 259 is not in the vocabulary"):
        session.decode(1, draft=[2, 259])

    assert session.tokens == ()


def test_a_guess_is_cut_where_the_context_ends(model: Model) -> None:
    session = model.session()
    session.prefill([1] * (CONTEXT - 2))

    session.decode(2, draft=[3, 4, 5, 6])

    assert session.decode(3).tobytes() == model.logits([1] * (CONTEXT - 2) + [2, 3])[-1].tobytes()


def test_a_guess_whose_logits_are_no_numbers_harms_nobody(tmp_path: Path) -> None:
    change = with_value("token_embd.weight", (1, 0), 3e38)
    loaded = load(made(tmp_path / "model.gguf", SMALL, change=change), threads=1)
    session = loaded.session()
    session.prefill([5, 6])

    session.decode(7, draft=[1, 8, 9])

    with pytest.raises(NumericalError):
        session.decode(1)
    assert session.tokens == (5, 6, 7)
    assert session.decode(8).tobytes() == loaded.logits([5, 6, 7, 8])[-1].tobytes()


# What is refused.


@pytest.mark.parametrize("speculate", ["lookup", "", 3, True, object(), PromptLookup])
def test_what_guesses_nothing_is_refused(model: Model, speculate: object) -> None:
    session = model.session()

    with pytest.raises(UsageError, match=r"speculate is .*, expected 'prompt', a model or"):
        session.generate([1], speculate=speculate)

    assert session.tokens == ()


@pytest.mark.parametrize(
    "other",
    [
        {"metadata": {"tokenizer.ggml.eos_token_id": 257}},
        {"metadata": {"tokenizer.ggml.pre": "llama-bpe"}},
        {"vocabulary": 300},
    ],
    ids=["end", "splits", "vocabulary"],
)
def test_a_draft_model_of_another_tokenizer_is_refused(
    model: Model, tmp_path: Path, other: dict[str, object]
) -> None:
    draft = load(tiny_llama(tmp_path / "other.gguf", **other), threads=1)

    with pytest.raises(UsageError, match=r"other\.gguf: its tokenizer .* is not that of") as caught:
        model.session().generate([1], speculate=draft)

    assert "same family" in caught.value.hint
