"""What `Sampling` refuses, and in which words."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from aboard.engine.sampling import Sampling, top_logprobs
from aboard.errors import UsageError

INF = math.inf


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", -0.1, "a finite number from 0"),
        ("temperature", math.nan, "a finite number from 0"),
        ("temperature", INF, "a finite number from 0"),
        ("temperature", "1", "a finite number from 0"),
        ("temperature", True, "a finite number from 0"),
        ("top_k", -1, "an integer from 0"),
        ("top_k", 1.5, "an integer from 0"),
        ("top_k", 2**31, "an integer from 0"),
        ("top_p", 1.01, "0 to 1"),
        ("top_p", -0.01, "0 to 1"),
        ("min_p", 2, "0 to 1"),
        ("repetition_penalty", 0, "above 0"),
        ("repetition_penalty", INF, "above 0"),
        ("presence_penalty", 2.1, "-2 to 2"),
        ("frequency_penalty", -3, "-2 to 2"),
        ("seed", -1, "an integer from 0"),
        ("seed", 2**64, "an integer from 0"),
        ("logit_bias", [1], "a mapping of token ids"),
        ("logit_bias", {-1: 0.0}, "an integer from 0"),
        ("logit_bias", {"a": 0.0}, "an integer from 0"),
        ("logit_bias", {1: INF}, "a finite number or -infinity"),
        ("logit_bias", {1: math.nan}, "a finite number or -infinity"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*expected {expected}"):
        Sampling(**{name: value})


def test_settings_are_frozen_values() -> None:
    bias = {1: 2.0}
    sampling = Sampling(temperature=1, logit_bias=bias)
    bias[2] = 3.0

    assert sampling == Sampling(temperature=1, logit_bias={1: 2.0})
    assert hash(sampling) == hash(pickle.loads(pickle.dumps(sampling)))
    with pytest.raises(FrozenInstanceError):
        sampling.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=1, top_k=2), Sampling(logit_bias={1: -INF})]
)
def test_nan_logits_are_refused(sampling: Sampling) -> None:
    logits = np.zeros(100, np.float32)
    logits[1] = math.nan

    with pytest.raises(UsageError, match="logit is NaN"):
        sampling.draw(logits)
    with pytest.raises(UsageError, match="NaN"):
        top_logprobs(logits, 3)


def test_a_row_without_any_token_is_refused() -> None:
    logits = np.array([-INF, 0, -INF], np.float32)

    with pytest.raises(UsageError, match="every token is masked"):
        Sampling(logit_bias={1: -INF}).draw(logits)


@pytest.mark.parametrize(
    "logits",
    [
        np.zeros(4),
        np.zeros((2, 4), np.float32),
        [0.0, 1.0],
        np.zeros(0, np.float32),
        np.zeros((1 << 20) + 1, np.float32),
    ],
    ids=["float64", "two rows", "list", "empty", "too long"],
)
def test_what_is_no_row_of_logits_is_refused(logits: Any) -> None:
    with pytest.raises(UsageError, match="logits"):
        Sampling().draw(logits)
    with pytest.raises(UsageError, match="logits"):
        top_logprobs(logits, 1)


@pytest.mark.parametrize(
    "context", [[4], [-1], [0.5], [[1]], [[1], [1, 2]], [2**40], ["a"], 7], ids=str
)
def test_tokens_outside_the_vocabulary_are_refused(context: Any) -> None:
    with pytest.raises(UsageError, match="context"):
        Sampling(repetition_penalty=2).draw(np.zeros(4, np.float32), context)


def test_bias_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(UsageError, match="logit_bias holds token 4 at 1, expected 0 to 3"):
        Sampling(logit_bias={0: 1, 4: 1}).draw(np.zeros(4, np.float32))


def test_more_logprobs_than_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="asked for 5 log-probabilities of 4 tokens"):
        top_logprobs(np.zeros(4, np.float32), 5)


@pytest.mark.parametrize("position", [-1, 2**64, 0.5, None])
def test_a_position_out_of_range_is_refused(position: Any) -> None:
    with pytest.raises(UsageError, match="position"):
        Sampling().draw(np.zeros(4, np.float32), position=position)
