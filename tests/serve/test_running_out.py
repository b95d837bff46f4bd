"""A schema that takes more work than it may in the middle of an answer: told, and nothing hangs."""

from collections.abc import Iterable, Iterator

import anthropic
import openai
import pytest

import aboard
from aboard.constrain import vocabulary
from serve.running import Running, running
from tiny import tiny_llama

ASKED = [{"role": "user", "content": "Tell me a story."}]
SCHEMA = {"type": "array", "items": {"type": "string", "pattern": "^[a-p]*q.{30}$"}, "minItems": 50}
TOOL = {
    "name": "tell",
    "input_schema": {"type": "object", "properties": {"of": SCHEMA}, "required": ["of"]},
}
OUT = "after .* tokens the grammar takes more work than it may"


def form(schema: object) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "story", "schema": schema}}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose grammars have fewer states than a long answer takes."""
    file = tiny_llama(tmp_path_factory.mktemp("short") / "tiny.gguf", seed=4, context=2048)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vocabulary._LIMITS, "max_lexer_states", 150)
        with running(aboard.load(file, threads=1)) as server:
            yield server


@pytest.fixture
def ask(short: Running):
    with short.openai() as client:
        yield lambda **options: client.chat.completions.create(
            **{"model": "tiny", "messages": ASKED, "response_format": form(SCHEMA)} | options,
            max_tokens=400,
            seed=1,
        )


def received(events: Iterable, into: list) -> None:
    for event in events:
        into.append(event)


def test_a_stream_ends_with_an_error_and_no_finish_reason(ask) -> None:
    events: list = []

    with pytest.raises(openai.APIError, match=OUT) as caught:
        received(ask(stream=True), events)

    assert caught.value.code == "invalid_grammar"
    assert len(events) > 20
    assert {event.choices[0].finish_reason for event in events} == {None}


def test_an_answer_in_one_piece_is_refused(ask, short: Running) -> None:
    with pytest.raises(openai.BadRequestError, match=OUT) as caught:
        ask()

    assert caught.value.code == "invalid_grammar"
    assert short.served.scheduler.load.n_requests == 0


def test_a_response_fails(short: Running) -> None:
    form = {"type": "json_schema", "name": "story", "schema": SCHEMA}
    with short.openai() as client:
        stream = client.responses.create(
            model="tiny", input=ASKED, text={"format": form}, max_output_tokens=400, stream=True
        )
        events = list(stream)

    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "invalid_grammar"
    assert "response.completed" not in {event.type for event in events}


def test_a_message_that_calls_a_tool_ends_with_an_error(short: Running) -> None:
    events: list = []
    options = {"tools": [TOOL], "tool_choice": {"type": "any"}}

    with short.anthropic() as client, pytest.raises(anthropic.APIStatusError, match=OUT):
        received(
            client.messages.create(
                model="tiny", messages=ASKED, max_tokens=400, stream=True, **options
            ),
            events,
        )

    assert "content_block_delta" in {event.type for event in events}
    assert "message_stop" not in {event.type for event in events}


def test_an_answer_beside_it_goes_on(ask) -> None:
    events = iter(ask(stream=True))
    next(events)

    beside = ask(response_format=form({"type": "array", "items": {"const": 1}, "maxItems": 3}))

    with pytest.raises(openai.APIError, match=OUT):
        received(events, [])
    assert beside.choices[0].finish_reason == "stop"
    assert set(beside.choices[0].message.content) <= set("[1, ]\n")
