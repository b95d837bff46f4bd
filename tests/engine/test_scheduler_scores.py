"""Log-probabilities of prompts and of the likeliest tokens, against NumPy on the model's logits."""

from pathlib import Path

import numpy as np
import pytest

from aboard.engine import Model, Request, Sampling, load
from aboard.engine.answer_state import AnswerState
from aboard.engine.prefix import PrefixCache
from aboard.engine.scheduler_batch import Batch
from aboard.errors import NumericalError, UsageError
from engine.made import made, with_value
from tiny import Llama, tiny_llama

CONTEXT = 256
PROMPT = [(i * 97 + 13) % 256 for i in range(150)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", fmt="Q8_0")


@pytest.fixture
def model(path: Path) -> Model:
    return load(path, threads=1, context=CONTEXT)


def scored(model: Model, tokens: list[int], n_top: int = 3, **fields: object) -> Request:
    state = AnswerState(model.tokenizer, max_tokens=2, **fields)
    return Request(np.array(tokens, np.int32), state, None, prompt_logprobs=n_top)


def run(batch: Batch, *requests: Request) -> None:
    for each in requests:
        batch.add(each)
    while not batch.idle:
        batch.step()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("prompt_slice", [1, 7, 64, 300])
def test_a_prompt_is_scored_by_the_softmax_of_the_logits_before_each_token(
    model: Model, prompt_slice: int
) -> None:
    batch = Batch(model, max_sequences=4, prompt_slice=prompt_slice)
    request = scored(model, PROMPT)
    others = [scored(model, [5, 6]), scored(model, PROMPT[:70])]
    run(batch, others[0], request, others[1])

    want = log_softmax(model.logits(PROMPT))[:-1]
    got = request.prompt_scores
    assert [each.token for each in got] == PROMPT[1:]
    np.testing.assert_allclose(
        [each.logprob for each in got], want[np.arange(149), PROMPT[1:]], rtol=1e-6
    )
    ranked = np.argsort(-want, axis=1, kind="stable")[:, :3]
    assert [[token for token, _ in each.top] for each in got] == ranked.tolist()
    np.testing.assert_allclose(
        [[logprob for _, logprob in each.top] for each in got],
        np.take_along_axis(want, ranked, 1),
        rtol=1e-6,
    )
    assert others[1].prompt_scores == got[:69]


def test_a_scored_token_has_the_number_that_it_has_among_the_likeliest(model: Model) -> None:
    request = scored(model, PROMPT, n_top=259)
    run(Batch(model, max_sequences=1, prompt_slice=32), request)

    assert [each.logprob for each in request.prompt_scores] == [
        dict(each.top)[each.token] for each in request.prompt_scores
    ]


def test_a_scored_prompt_is_computed_whole_and_answered_as_any(model: Model) -> None:
    model.prefix_cache = PrefixCache()
    batch = Batch(model, max_sequences=4, prompt_slice=64)
    first, again = scored(model, PROMPT), scored(model, PROMPT)
    run(batch, first)
    run(batch, again)

    assert again.prompt_scores == first.prompt_scores
    assert again.timing.cached_tokens == 0
    with model.session() as session:
        assert list(again) == list(session.generate(PROMPT, max_tokens=2))


def test_few_rows_at_a_time_are_held_of_a_large_vocabulary(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aboard.engine.scheduler_batch.block_rows", lambda model: 5)
    forward, most = model.decoder.forward, []

    class Watched:
        def forward(self, tokens, caches, wanted):
            most.append(len(wanted))
            return forward(tokens, caches, wanted)

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    real, model.decoder = model.decoder, Watched()
    requests = [scored(model, PROMPT) for _ in range(3)]
    run(Batch(model, max_sequences=3, prompt_slice=64), *requests)

    assert max(most) <= 5 + 2  # and a row of each of the others' answers
    assert [len(request.prompt_scores) for request in requests] == [149] * 3


def test_a_prompt_that_is_scored_leaves_the_others_their_turns(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slices are short; those behind it take what is left of a step, in their own order."""
    monkeypatch.setattr("aboard.engine.scheduler_batch.block_rows", lambda model: 4)
    batch = Batch(model, max_sequences=4, prompt_slice=20)
    busy = Request(np.array([1], np.int32), AnswerState(model.tokenizer, max_tokens=40), None)
    batch.add(busy)
    batch.step()  # an answer is under way from here on: prompts come in slices of 20
    slow = scored(model, PROMPT)
    others = [
        Request(np.array(PROMPT[i:], np.int32), AnswerState(model.tokenizer, max_tokens=1), None)
        for i in (1, 2)
    ]
    for each in (slow, *others):
        batch.add(each)
    scores = []
    for _ in range(16):
        batch.step()
        scores.append(len(slow.prompt_scores))

    assert scores == [4 * (step + 1) for step in range(16)]  # to the end of its first turn


def test_a_prompt_of_one_token_has_no_scores(model: Model) -> None:
    request = scored(model, [7])
    run(Batch(model, max_sequences=1, prompt_slice=64), request)

    assert request.prompt_scores == []
    assert len(list(request)) == 2


def test_logits_of_nan_within_a_scored_prompt_end_it(tmp_path: Path) -> None:
    change = with_value("token_embd.weight", (200, 0), 3e38)
    damaged = load(made(tmp_path / "damaged.gguf", Llama(context=CONTEXT), change=change))
    bad, good = scored(damaged, [1, 200, 3, 4]), scored(damaged, [1, 2, 3])
    run(Batch(damaged, max_sequences=2, prompt_slice=64), bad, good)

    with pytest.raises(NumericalError, match="NaN"):
        list(bad)
    assert len(good.prompt_scores) == 2


def test_steps_tell_the_likeliest_tokens_of_the_raw_logits(model: Model) -> None:
    fields = {
        "sampling": Sampling(temperature=1.5, seed=4, frequency_penalty=1.0),
        "max_tokens": 20,
        "logprobs": True,
        "top_logprobs": 4,
    }
    with model.session() as session:
        alone = list(session.generate([1, 2, 3], **fields))
    with model.batch() as batch:
        together = [list(each) for each in [batch.submit([1, 2, 3], **fields) for _ in range(3)]]

    tokens = [1, 2, 3, *(step.token for step in alone)]
    want = log_softmax(model.logits(tokens))[2:]
    assert together == [alone] * 3
    for step, row in zip(alone, want[:-1], strict=True):
        ranked = np.argsort(-row, kind="stable")[:4]
        assert [token for token, _ in step.top] == ranked.tolist()
        np.testing.assert_allclose([each for _, each in step.top], row[ranked], rtol=1e-6)
        np.testing.assert_allclose(step.logprob, row[step.token], rtol=1e-6)


@pytest.mark.parametrize("field", ["top_logprobs", "prompt_logprobs"])
@pytest.mark.parametrize("value", [-1, 260, 1.5, "2"])
def test_more_likeliest_tokens_than_there_are_is_refused(
    model: Model, field: str, value: object
) -> None:
    with model.batch() as batch, pytest.raises(UsageError, match=f"{field} is {value!r}"):
        batch.submit([1], **{field: value})
