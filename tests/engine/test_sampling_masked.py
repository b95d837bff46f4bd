"""Draws among allowed tokens: those that a draw from logits of -infinity elsewhere would give."""

import math

import numpy as np
import pytest

from aboard.engine.sampling import Sampling
from aboard.errors import UsageError

SAMPLINGS = {
    "greedy": Sampling(),
    "hot": Sampling(temperature=1.3, seed=9),
    "filtered": Sampling(temperature=0.8, top_k=7, top_p=0.8, min_p=0.05, seed=4),
    "penalties": Sampling(temperature=0.7, repetition_penalty=1.4, presence_penalty=1.0, seed=2),
    "bias": Sampling(logit_bias={3: 40.0, 5: -math.inf}),
}


def words(allowed: np.ndarray) -> np.ndarray:
    padded = np.zeros(-(-allowed.size // 32) * 32, bool)
    padded[: allowed.size] = allowed
    return np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("vocabulary", [40, 64, 65, 1000])
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_only_allowed_tokens_are_drawn_from(name: str, vocabulary: int, share: float) -> None:
    random = np.random.default_rng(vocabulary)
    logits = random.normal(0, 3, vocabulary).astype(np.float32)
    allowed = random.random(vocabulary) < share
    allowed[vocabulary - 1] = True
    context = random.integers(0, vocabulary, 20).astype(np.int32)
    masked = np.where(allowed, logits, np.float32(-math.inf))
    sampling = SAMPLINGS[name]

    drawn = [sampling.draw(logits, context, p, allowed=words(allowed)) for p in range(30)]

    expected = [sampling.draw(masked, context, p).token for p in range(30)]
    assert [draw.token for draw in drawn] == expected
    assert all(allowed[token] for token in expected)


def test_the_log_probability_is_that_of_all_tokens() -> None:
    logits = np.array([3, 2, 1, 0], np.float32)

    draw = Sampling().draw(logits, allowed=np.array([0b1100], np.uint32))

    assert draw.token == 2
    assert draw.logprob == pytest.approx(1 - math.log(np.exp(logits.astype(float)).sum()))


def test_what_is_masked_may_be_infinite() -> None:
    logits = np.array([math.inf, 2, 1, 0], np.float32)

    draw = Sampling(temperature=1.0).draw(logits, allowed=np.array([0b0010], np.uint32))

    assert draw.token == 1


def test_no_allowed_token_is_an_error() -> None:
    with pytest.raises(UsageError, match="every token is masked"):
        Sampling().draw(np.zeros(4, np.float32), allowed=np.zeros(1, np.uint32))


@pytest.mark.parametrize("n_words", [0, 1, 3])
def test_a_mask_of_another_vocabulary_is_refused(n_words: int) -> None:
    with pytest.raises(UsageError, match="words of allowed tokens, expected 2"):
        Sampling().draw(np.zeros(33, np.float32), allowed=np.zeros(n_words, np.uint32))
