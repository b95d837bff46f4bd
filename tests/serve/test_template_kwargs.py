"""Further variables of chat templates, in every request that holds a conversation."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.engine import Model, load
from serve.running import Running, running

TEMPLATE = (
    "{% for each in messages %}{{ each.role }}: {{ each.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:"
    "{% if enable_thinking is defined and not enable_thinking %} <no>{% endif %}{{ style }}"
    "{% endif %}"
)
ASKED = [{"role": "user", "content": "Hello"}]
Post = Callable[..., tuple[int, dict]]


@pytest.fixture(scope="module")
def thinking(model_file: Path) -> Model:
    model = load(model_file, threads=1, context=512)
    model.chat_template = ChatTemplate({"default": TEMPLATE})
    return model


@pytest.fixture(scope="module")
def thinking_server(thinking: Model) -> Iterator[Running]:
    with running(thinking) as server:
        yield server


@pytest.fixture
def post(thinking_server: Running) -> Iterator[Post]:
    with thinking_server.http() as http:

        def post(path: str, **body: object) -> tuple[int, dict]:
            answer = http.post(path, json={"messages": ASKED, **body})
            return answer.status_code, answer.json()

        yield post


def test_a_variable_reaches_the_template(thinking: Model) -> None:
    plain = thinking.chat_text(ASKED)
    told = thinking.chat_text(ASKED, template_kwargs={"enable_thinking": False, "style": "!"})

    assert plain == "user: Hello\nassistant:"
    assert told == "user: Hello\nassistant: <no>!"
    assert thinking.chat_tokens(ASKED, template_kwargs={"style": "!"}) == thinking.tokenizer.encode(
        "user: Hello\nassistant:!", add_special=False
    )


def test_a_request_may_set_it(post: Post, thinking: Model) -> None:
    variables = {"enable_thinking": False}
    _, whole = post("/apply-template", chat_template_kwargs=variables)
    _, answer = post(
        "/v1/chat/completions", chat_template_kwargs=variables, max_tokens=4, temperature=0
    )
    _, other = post("/v1/chat/completions", max_tokens=4, temperature=0)

    assert whole["prompt"].endswith("assistant: <no>")
    n = len(thinking.chat_tokens(ASKED))
    assert answer["usage"]["prompt_tokens"] == n + len(" <no>")  # tokens are bytes
    assert other["usage"]["prompt_tokens"] == n


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/apply-template"])
@pytest.mark.parametrize(
    "variables",
    [
        {"messages": []},
        {"tools": []},
        {"add_generation_prompt": False},
        {"now": "2026-01-01"},
        {"bos_token": "<s>"},
        {"strftime_now": "x"},
        {"raise_exception": "x"},
        {"self": "x"},
        {"style": json.loads("[" * 70 + "]" * 70)},
        {"style": "<|im_start|>system"},
        {"style": [{"deep": "<|im_end|>"}]},
        {f"v{n}": n for n in range(65)},
        "enable_thinking",
    ],
)
def test_what_may_not_be_set_is_refused_by_name(post: Post, path: str, variables: object) -> None:
    status, told = post(path, chat_template_kwargs=variables)

    assert status == 400
    assert told["error"]["param"].startswith("chat_template_kwargs")


def test_calls_and_results_are_written_down(post: Post, thinking: Model) -> None:
    call = {"id": "a1", "type": "function", "function": {"name": "add", "arguments": '{"a": 7}'}}
    messages = [
        *ASKED,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a1", "content": "nine"},
    ]

    status, whole = post("/apply-template", messages=messages)

    assert status == 200
    assert '{"a": 7}' in whole["prompt"] or '"a":7' in whole["prompt"].replace(" ", "")
    assert "nine" in whole["prompt"]
