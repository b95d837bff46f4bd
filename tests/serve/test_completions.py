"""Prompts by the openai client: continued, echoed and scored, against the model's own logits."""

from pathlib import Path

import numpy as np
import openai
import pytest

from aboard.engine import Model, load
from serve.running import running
from tiny import tiny_llama

PROMPT = "Water boils at"
OTHER = "The sky is"


@pytest.fixture
def ask(client: openai.OpenAI):
    def ask(**options):
        options = {"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0} | options
        return client.completions.create(**options)

    return ask


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def name(token: int) -> str:
    if token >= 256:
        return ("<|endoftext|>", "<|im_start|>", "<|im_end|>")[token - 256]
    return chr(token) if token < 128 else f"bytes:\\x{token:02x}"


def refused(ask, **options) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(**options)
    return caught.value


def test_a_prompt_is_continued_as_the_model_does_alone(ask, model: Model) -> None:
    answer = ask()

    choice = answer.choices[0]
    assert choice.text == model.generate(PROMPT, max_tokens=12)
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert (answer.object, answer.model) == ("text_completion", "tiny")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(PROMPT), 12)


def test_an_answer_has_16_tokens_unless_told_otherwise(ask) -> None:
    assert ask(max_tokens=None).usage.completion_tokens == 16


@pytest.mark.parametrize(
    "prompts",
    [
        [PROMPT, OTHER],
        [list(PROMPT.encode()), list(OTHER.encode())],
    ],
)
def test_every_prompt_gets_n_answers_of_its_own(ask, model: Model, prompts: list) -> None:
    options = {"max_tokens": 12, "temperature": 1.0}
    want = [
        model.generate(prompt, seed=3 + i, **options) for prompt in (PROMPT, OTHER) for i in (0, 1)
    ]

    answer = ask(prompt=prompts, n=2, seed=3, best_of=2, **options)

    assert [choice.text for choice in answer.choices] == want
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage.prompt_tokens == len(PROMPT) + len(OTHER)


def test_token_ids_are_a_prompt(ask) -> None:
    assert ask(prompt=list(PROMPT.encode())).choices[0].text == ask().choices[0].text


@pytest.mark.parametrize("n_top", [0, 1, 5])
@pytest.mark.parametrize("stream", [False, True])
def test_an_echoed_prompt_is_scored_by_the_softmax_of_the_logits(
    ask, model: Model, n_top: int, stream: bool
) -> None:
    given = ask(echo=True, logprobs=n_top, max_tokens=3, stream=stream)
    choices = [choice for part in (given if stream else [given]) for choice in part.choices]
    parts = [choice.logprobs for choice in choices]
    tokens = [*PROMPT.encode(), *(int(i) for i in greedy(model, 3))]
    want = log_softmax(model.logits(tokens))[:-1]

    names = [each for part in parts for each in part.tokens]
    logprobs = [each for part in parts for each in part.token_logprobs]
    tops = [each for part in parts for each in part.top_logprobs]
    offsets = [each for part in parts for each in part.text_offset]
    assert names == [name(token) for token in tokens]
    assert logprobs[0] is None
    np.testing.assert_allclose(logprobs[1:], want[np.arange(len(want)), tokens[1:]], rtol=1e-6)
    assert tops[0] is None
    for row, token, top in zip(want, tokens[1:], tops[1:], strict=True):
        ranked = np.argsort(-row, kind="stable")[:n_top].tolist()
        assert set(top) == {name(each) for each in (*ranked, token)}
        assert max(top.values()) == pytest.approx(row[ranked[0] if n_top else token], rel=1e-6)
    assert offsets[: len(PROMPT)] == list(range(len(PROMPT)))
    text = "".join(choice.text for choice in choices)
    assert text.startswith(PROMPT)
    assert text == PROMPT + ask(max_tokens=3).choices[0].text


def greedy(model: Model, n: int) -> list[int]:
    with model.session() as session:
        return [step.token for step in session.generate(list(PROMPT.encode()), max_tokens=n)]


def test_what_the_evaluation_harness_reads_tells_whether_a_continuation_is_the_greedy_one(
    ask, model: Model
) -> None:
    """As lm-evaluation-harness does it: the last of `max_tokens=1` is left out."""
    right, wrong = greedy(model, 4), [*greedy(model, 3), 0]

    def read(continuation: list[int]) -> tuple[float, bool]:
        prompt = [*PROMPT.encode(), *continuation]
        answer = ask(prompt=[prompt], logprobs=1, echo=True, max_tokens=1)
        told = answer.choices[0].logprobs
        span = slice(len(PROMPT), -1)
        likely = zip(told.token_logprobs[span], told.top_logprobs[span], strict=True)
        return sum(told.token_logprobs[span]), all(p == max(top.values()) for p, top in likely)

    rows = log_softmax(model.logits([*PROMPT.encode(), *right]))[len(PROMPT) - 1 : -1]
    assert read(right) == (pytest.approx(rows[np.arange(4), right].sum(), rel=1e-6), True)
    assert read(wrong)[1] is False


def test_a_prompt_is_scored_without_an_answer(ask) -> None:
    answer = ask(echo=True, logprobs=0, max_tokens=0)

    choice = answer.choices[0]
    assert choice.text == PROMPT
    assert len(choice.logprobs.tokens) == len(PROMPT)
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (0, len(PROMPT))


def test_tokens_of_an_answer_stand_where_they_would_behind_the_prompt(ask) -> None:
    told = ask(logprobs=0, max_tokens=3).choices[0].logprobs

    assert told.text_offset == [len(PROMPT) + i for i in range(3)]


def test_a_stop_text_leaves_no_token_behind(ask) -> None:
    whole = ask(logprobs=0).choices[0]
    stop = whole.text[5:7]

    cut = ask(logprobs=0, stop=stop).choices[0]

    assert cut.text == whole.text.partition(stop)[0]
    assert cut.logprobs.tokens == whole.logprobs.tokens[: len(cut.logprobs.tokens)]
    assert len(cut.logprobs.tokens) < len(whole.logprobs.tokens)
    assert cut.finish_reason == "stop"


def test_a_stream_says_what_the_whole_answer_says(ask) -> None:
    events = list(ask(stream=True, stream_options={"include_usage": True}, echo=True))

    assert "".join(each.choices[0].text for each in events[:-1]) == ask(echo=True).choices[0].text
    assert events[-2].choices[0].finish_reason == "length"
    assert events[-1].usage.completion_tokens == 12


def test_control_tokens_in_a_prompt_are_read_as_such(ask) -> None:
    told = ask(prompt="<|im_start|>a", echo=True, logprobs=0, max_tokens=0).choices[0]

    assert told.text == "<|im_start|>a"
    assert told.logprobs.tokens == ["<|im_start|>", "a"]
    assert told.logprobs.text_offset == [0, len("<|im_start|>")]


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"suffix": "."}, "suffix", "unsupported_parameter"),
        ({"best_of": 3}, None, "invalid_value"),
        ({"max_tokens": 0}, None, "invalid_value"),
        ({"max_tokens": 600}, "prompt", "context_length_exceeded"),
        ({"logprobs": 6}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_value"),
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ["a", 5]}, "prompt[1]", "invalid_value"),
        ({"prompt": [[1], []]}, "prompt[1]", "invalid_value"),
        ({"prompt": [-1]}, "prompt[0]", "invalid_value"),
        ({"prompt": [300]}, None, "invalid_value"),
        ({"prompt": {"text": "a"}}, "prompt", "invalid_value"),
        ({"extra_body": {"messages": []}}, "messages", "unknown_parameter"),
        ({"n": 100, "prompt": ["a", "b"]}, "n", "invalid_value"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    ask, given: dict, param: str | None, code: str
) -> None:
    error = refused(ask, **given)

    assert (error.status_code, error.param, error.code) == (400, param, code)


@pytest.mark.parametrize(
    ("adds", "tokens", "offsets"),
    [
        ({"tokenizer.ggml.add_bos_token": True}, ["<|endoftext|>", "a", "b"], [0, 0, 1]),
        ({"tokenizer.ggml.add_eos_token": True}, ["a", "b", "<|im_end|>"], [0, 1, 2]),
        ({}, ["a", "b"], [0, 1]),
    ],
)
def test_tokens_that_the_tokenizer_adds_take_no_place_in_the_text(
    tmp_path: Path, adds: dict, tokens: list[str], offsets: list[int]
) -> None:
    path = tiny_llama(tmp_path / "tiny.gguf", metadata=adds)
    options = {"model": "tiny", "echo": True, "logprobs": 0, "max_tokens": 1, "temperature": 0}

    with running(load(path, threads=1, context=64)) as server, server.openai() as client:
        told = client.completions.create(prompt="ab", **options).choices[0]

    assert told.logprobs.tokens[: len(tokens)] == tokens
    assert told.logprobs.text_offset[: len(tokens)] == offsets
    assert told.text.startswith("ab")


def test_too_many_answers_are_refused_before_anything_is_made_of_them(
    ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aboard.serve.completions._prompts", None)  # a failure, were it called

    error = refused(ask, prompt=["a"] * 1000, n=128)

    assert (error.status_code, error.param, error.code) == (400, "prompt", "invalid_value")
    assert "128000 answers" in error.message
