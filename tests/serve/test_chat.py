"""Conversations by the openai client: what the model answers alone, and nothing else."""

import openai
import pytest

from aboard.engine import Model, Sampling
from serve.running import Running

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a colour."},
]


@pytest.fixture
def ask(client: openai.OpenAI):
    def ask(**options):
        options = {"model": "tiny", "messages": ASKED, "max_tokens": 20, "temperature": 0} | options
        return client.chat.completions.create(**options)

    return ask


def said(ask, **options) -> list[str]:
    return [choice.message.content for choice in ask(**options).choices]


def streamed(ask, **options):
    return list(ask(stream=True, **options))


def texts_of(events, n: int = 1) -> list[str]:
    texts = [""] * n
    for event in events:
        for choice in event.choices:
            texts[choice.index] += choice.delta.content or ""
    return texts


def refused(ask, **options) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(**options)
    return caught.value


def test_an_answer_is_the_models_own(ask, model: Model, server: Running) -> None:
    answer = ask()

    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == (
        "assistant",
        model.chat(ASKED, max_tokens=20),
    )
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert (answer.object, answer.model) == ("chat.completion", "tiny")
    assert answer.id.startswith("chatcmpl-")
    assert answer.system_fingerprint == server.served.fingerprint
    assert answer.usage.prompt_tokens == len(model.chat_tokens(ASKED))
    assert answer.usage.completion_tokens == 20
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 20


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"temperature": 1.0}, {"temperature": 1.0}),
        ({"temperature": 0.8, "top_p": 0.7}, {"temperature": 0.8, "top_p": 0.7}),
        ({"presence_penalty": 1.5}, {"presence_penalty": 1.5}),
        ({"frequency_penalty": -1.5}, {"frequency_penalty": -1.5}),
        ({"logit_bias": {"65": 100, "66": -100}}, {"logit_bias": {65: 100.0, 66: -100.0}}),
        ({"extra_body": {"top_k": 3}, "temperature": 1}, {"top_k": 3, "temperature": 1.0}),
        ({"extra_body": {"min_p": 0.5}, "temperature": 1}, {"min_p": 0.5, "temperature": 1.0}),
        ({"extra_body": {"repetition_penalty": 1.4}}, {"repetition_penalty": 1.4}),
    ],
)
def test_every_way_of_drawing_is_the_engines(ask, model: Model, given: dict, meant: dict) -> None:
    want = model.chat(ASKED, max_tokens=20, sampling=Sampling(seed=11, **meant))

    assert said(ask, seed=11, **given) == [want]


def test_the_temperature_is_1_unless_one_is_given(ask, model: Model) -> None:
    want = model.chat(ASKED, max_tokens=20, temperature=1.0, seed=5)

    assert said(ask, temperature=None, seed=5) == [want]


def test_choice_i_is_that_of_the_seed_and_i(ask, model: Model) -> None:
    want = [model.chat(ASKED, max_tokens=20, temperature=1.0, seed=7 + i) for i in range(3)]

    answer = ask(n=3, seed=7, temperature=1)
    events = streamed(ask, n=3, seed=7, temperature=1)

    assert [choice.message.content for choice in answer.choices] == want
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.prompt_tokens == len(model.chat_tokens(ASKED))
    assert texts_of(events, 3) == want


def test_a_negative_seed_is_one_too(ask) -> None:
    assert said(ask, seed=-3, temperature=1) == said(ask, seed=-3, temperature=1)


def test_without_a_seed_each_request_gets_another(
    ask, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([5, 9])
    monkeypatch.setattr("aboard.serve.asking.secrets.randbits", lambda n: next(drawn))
    want = [model.chat(ASKED, max_tokens=20, temperature=1.0, seed=seed) for seed in (5, 9)]

    assert [said(ask, temperature=1)[0] for _ in range(2)] == want
    assert want[0] != want[1]


@pytest.mark.parametrize("n_characters", [1, 2])
def test_a_stop_text_ends_the_answer_and_is_not_in_it(ask, model: Model, n_characters: int) -> None:
    whole = model.chat(ASKED, max_tokens=20)
    stop = whole[5 : 5 + n_characters]

    answer = ask(stop=stop)
    events = streamed(ask, stop=[stop, "never this"])

    want = whole[: whole.index(stop)]
    assert answer.choices[0].message.content == want
    assert answer.choices[0].finish_reason == "stop"
    assert texts_of(events) == [want]
    assert events[-1].choices[0].finish_reason == "stop"


def test_a_stream_says_what_the_whole_answer_says(ask, server: Running) -> None:
    events = streamed(ask, stream_options={"include_usage": True})

    assert texts_of(events) == said(ask)
    assert events[0].choices[0].delta.role == "assistant"
    assert [event.choices[0].finish_reason for event in events[:-1]] == [
        *([None] * (len(events) - 2)),
        "length",
    ]
    assert events[-1].choices == []
    assert events[-1].usage.completion_tokens == 20
    assert {event.usage for event in events[:-1]} == {None}
    assert {event.id for event in events} == {events[0].id}
    assert {event.system_fingerprint for event in events} == {server.served.fingerprint}


def test_a_stream_tells_no_usage_unless_asked(ask) -> None:
    assert all("usage" not in event.model_fields_set for event in streamed(ask))


def test_a_beginning_that_came_before_is_told_as_cached(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "a beginning that is long " * 8}]
    options = {"model": "tiny", "max_tokens": 1, "messages": messages}
    counts = [
        client.chat.completions.create(**options).usage.prompt_tokens_details.cached_tokens
        for _ in range(2)
    ]

    assert counts[0] < 64
    assert counts[1] >= 128


def test_parts_of_a_message_are_its_lines(ask, model: Model) -> None:
    parts = [{"type": "text", "text": "Name"}, {"type": "text", "text": "a colour."}]
    as_one = [{"role": "user", "content": "Name\na colour."}]

    assert said(ask, messages=[{"role": "user", "content": parts}]) == [
        model.chat(as_one, max_tokens=20)
    ]


def test_a_developer_speaks_as_the_system(ask) -> None:
    assert said(ask, messages=[ASKED[0] | {"role": "developer"}, ASKED[1]]) == said(ask)


def test_an_alias_is_answered_by_the_model_it_stands_for(ask) -> None:
    answer = ask(model="gpt-4o-mini")

    assert answer.model == "tiny"
    assert answer.choices[0].message.content == said(ask)[0]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_both_names_limit_the_answer(ask, name: str) -> None:
    answer = ask(**({"max_tokens": None} | {name: 3}))

    assert answer.usage.completion_tokens == 3


@pytest.mark.parametrize(
    "given",
    [
        {"response_format": {"type": "text"}},
        {"store": False},
        {"service_tier": "auto"},
        {"modalities": ["text"]},
        {"user": "me"},
        {"max_tokens": 20.0, "n": 1.0},
        {"safety_identifier": "me", "prompt_cache_key": "mine"},
        {"extra_body": {"tools": None, "foo_is_unknown": None, "logprobs": None}},
    ],
)
def test_what_changes_nothing_is_taken(ask, given: dict) -> None:
    if "foo_is_unknown" in given.get("extra_body", {}):
        assert refused(ask, **given).param == "foo_is_unknown"
        given["extra_body"].pop("foo_is_unknown")

    assert said(ask, **given) == said(ask)


USER = {"role": "user", "content": "x"}
IMAGE = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"extra_body": {"foo": 1}}, "foo", "unknown_parameter"),
        ({"extra_body": {"max_token": 1}}, "max_token", "unknown_parameter"),
        ({"metadata": {"a": "b"}}, "metadata", "unsupported_parameter"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "unsupported_parameter"),
        ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
        (
            {"extra_body": {"prompt_cache_options": {}}},
            "prompt_cache_options",
            "unsupported_parameter",
        ),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
        ({"prediction": {"type": "content", "content": ""}}, "prediction", "unsupported_parameter"),
        ({"store": True}, "store", "invalid_value"),
        ({"store": 0}, "store", "invalid_value"),
        ({"service_tier": "priority"}, "service_tier", "invalid_value"),
        ({"modalities": ["audio"]}, "modalities[0]", "invalid_value"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"temperature": "hot"}, "temperature", "invalid_value"),
        ({"temperature": 2.5}, "temperature", "invalid_value"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"presence_penalty": 3}, "presence_penalty", "invalid_value"),
        ({"frequency_penalty": -3}, "frequency_penalty", "invalid_value"),
        ({"logit_bias": {"65": 101}}, "logit_bias.65", "invalid_value"),
        ({"logit_bias": {"blue": 1}}, "logit_bias.blue", "invalid_value"),
        ({"logit_bias": {"99999": 1}}, "logit_bias", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_value"),
        ({"seed": 1.5}, "seed", "invalid_value"),
        ({"seed": "1"}, "seed", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"stop": ["a", ""]}, "stop[1]", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, None, "invalid_value"),
        ({"max_tokens": 5000}, "messages", "context_length_exceeded"),
        ({"top_logprobs": 2}, None, "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, None, "invalid_value"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "invalid_value",
        ),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hello"}, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [USER | {"name": "Bob"}]}, "messages[0].name", "unsupported_parameter"),
        ({"messages": [USER | {"nam": "Bob"}]}, "messages[0].nam", "unknown_parameter"),
        ({"messages": [USER, USER | {"content": 5}]}, "messages[1].content", "invalid_value"),
        ({"messages": [USER | {"content": []}]}, "messages[0].content", "invalid_value"),
        (
            {"messages": [USER | {"content": [IMAGE]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": "", "function_call": {}}]},
            "messages[1].function_call",
            "unsupported_parameter",
        ),
        ({"messages": [USER | {"content": "<|im_end|>"}]}, "messages", "invalid_value"),
        ({"messages": [USER | {"content": "long " * 200}]}, "messages", "context_length_exceeded"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    ask, given: dict, param: str | None, code: str
) -> None:
    error = refused(ask, **given)

    assert (error.status_code, error.param, error.code) == (400, param, code)
    assert error.type == "invalid_request_error"
    assert code == "context_length_exceeded" or (param or "") in error.message


def test_another_model_is_not_found(ask) -> None:
    error = refused(ask, model="gpt-5")

    assert (error.status_code, error.code, error.param) == (404, "model_not_found", "model")


def test_log_probabilities_are_the_models(ask, model: Model) -> None:
    prompt = model.chat_tokens(ASKED)
    with model.session() as session:
        steps = list(session.generate(prompt, max_tokens=20, top_logprobs=3))

    whole = ask(logprobs=True, top_logprobs=3)
    events = streamed(ask, logprobs=True, top_logprobs=3)

    content = whole.choices[0].logprobs.content
    assert [bytes(each.bytes) for each in content] == [bytes([step.token]) for step in steps]
    assert [each.logprob for each in content] == [step.logprob for step in steps]
    assert [
        [(each.bytes[0] if each.bytes else None, each.logprob) for each in token.top_logprobs]
        for token in content
    ] == [[(token if token < 256 else None, p) for token, p in step.top] for step in steps]
    in_stream = [
        token
        for event in events
        for choice in event.choices
        if choice.logprobs
        for token in choice.logprobs.content
    ]
    assert [each.model_dump() for each in in_stream] == [each.model_dump() for each in content]


def test_log_probabilities_come_without_alternatives_too(ask) -> None:
    content = ask(logprobs=True).choices[0].logprobs.content

    assert [each.top_logprobs for each in content] == [[]] * 20
