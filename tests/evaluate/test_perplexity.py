"""Perplexity against plain NumPy over the model's own logits, and against known figures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.errors import NumericalError, UsageError
from aboard.evaluate import perplexity, token_losses
from aboard.evaluate.texts import CODE, PROSE
from tiny import tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> aboard.Model:
    return aboard.load(tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf"), threads=1)


TOKENS = [int(token) for token in np.random.default_rng(3).integers(0, 259, 50)]


def plain_losses(model: aboard.Model, tokens: Sequence[int]) -> np.ndarray:
    """-ln p of each token but the first, by the definition of softmax in float64."""
    logits = model.logits(tokens).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.array([-np.log(probabilities[i, tokens[i + 1]]) for i in range(len(tokens) - 1)])


def uniform(tokens: Sequence[int]) -> np.ndarray:
    return np.full((len(tokens), 259), 3.25, np.float32)


def test_one_window_is_the_mean_of_plain_softmax(model: aboard.Model) -> None:
    wanted = plain_losses(model, TOKENS)

    found = perplexity(model.logits, TOKENS)

    assert found.n_scored == 49
    assert found.nats == pytest.approx(wanted.mean(), rel=1e-12)
    assert found.perplexity == pytest.approx(math.exp(wanted.mean()), rel=1e-12)


def test_windows_without_overlap_begin_anew(model: aboard.Model) -> None:
    parts = [plain_losses(model, TOKENS[first : first + 16]) for first in range(0, 50, 16)]

    found = token_losses(model.logits, TOKENS, window=16)

    np.testing.assert_allclose(found, np.concatenate(parts), rtol=1e-12)


def test_a_stride_gives_each_token_the_context_of_its_first_window(model: aboard.Model) -> None:
    # windows of 16 at 0, 6, 12, ...: the first scores 1 to 15, each further one its last six
    wanted = [plain_losses(model, TOKENS[0:16])]
    for begin in range(6, 36, 6):
        wanted.append(plain_losses(model, TOKENS[begin : begin + 16])[-6:])
    wanted.append(plain_losses(model, TOKENS[36:50])[-4:])

    found = token_losses(model.logits, TOKENS, window=16, stride=6)

    np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 5, 15])
def test_a_stride_scores_every_token_but_the_first_once(stride: int) -> None:
    assert token_losses(uniform, TOKENS, window=16, stride=stride).size == 49


def test_the_logits_may_come_in_pieces(model: aboard.Model) -> None:
    def in_pieces(tokens: Sequence[int]):
        rows = model.logits(tokens)
        yield rows[:1]
        yield rows[1]
        yield rows[2:]

    whole = token_losses(model.logits, TOKENS)

    assert token_losses(in_pieces, TOKENS).tolist() == whole.tolist()


def test_equal_logits_are_a_fair_die() -> None:
    found = perplexity(uniform, [0, 1, 2, 3, 258], n_bytes=8)

    assert found.perplexity == pytest.approx(259.0)
    assert found.bits_per_byte == pytest.approx(4 * math.log2(259) / 8)


def test_without_bytes_there_are_no_bits_per_byte() -> None:
    assert perplexity(uniform, [0, 1]).bits_per_byte is None


def test_large_logits_lose_nothing() -> None:
    def large(tokens: Sequence[int]) -> np.ndarray:
        return np.array([[3e38, 3e38, -3e38]] * len(tokens), np.float32)

    assert perplexity(large, [0, 1]).nats == pytest.approx(math.log(2))


def test_a_loss_beyond_float64_is_infinite_perplexity() -> None:
    def sure(tokens: Sequence[int]) -> np.ndarray:
        return np.array([[1000.0, 0.0]] * len(tokens), np.float32)

    found = perplexity(sure, [0, 1])

    assert found.nats == 1000.0
    assert found.perplexity == math.inf


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_loss_that_is_no_number_is_refused(value: float) -> None:
    def broken(tokens: Sequence[int]) -> np.ndarray:
        return np.array([[0.0, value]] * len(tokens), np.float32)

    with pytest.raises(NumericalError, match="loss of token 0"):
        perplexity(broken, [0, 1])


@pytest.mark.parametrize("tokens", [[], [5]])
def test_a_single_token_predicts_nothing(tokens: list[int]) -> None:
    with pytest.raises(UsageError, match="two or more"):
        perplexity(uniform, tokens)


@pytest.mark.parametrize("token", [-1, 259])
def test_a_token_without_a_logit_is_refused(token: int) -> None:
    with pytest.raises(UsageError, match="vocabulary of 259"):
        perplexity(uniform, [0, token])


@pytest.mark.parametrize(("window", "stride"), [(1, None), (16, 0), (16, 17), (16, -1)])
def test_windows_out_of_range_are_refused(window: int, stride: int | None) -> None:
    with pytest.raises(UsageError, match="window"):
        perplexity(uniform, TOKENS, window=window, stride=stride)


# transformers 5.23.0 in float32 on the weights that the `gguf` package decodes: bench/oracle.py.
ORACLE = {"prose": (PROSE, 317, 3.0900), "code": (CODE, 100, 0.9506)}


@pytest.mark.model
@pytest.mark.parametrize(("text", "n_tokens", "nats"), ORACLE.values(), ids=ORACLE)
def test_the_demo_model_predicts_as_transformers_says(
    demo_model: Path, text: str, n_tokens: int, nats: float
) -> None:
    model = aboard.load(demo_model, context=512)
    tokens = model.tokenizer.encode(text)

    found = perplexity(model.logits, tokens)

    assert len(tokens) == n_tokens
    assert found.nats == pytest.approx(nats, abs=0.02)
