"""Messages by the anthropic client, whose types are kept to: what the model answers, and how."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import jsonschema
import pytest

from aboard.constrain import vocabulary
from aboard.engine import Model, Sampling, load
from aboard.errors import NotEnoughMemory
from serve.events import events_of
from serve.failing import failing
from serve.running import Running, running
from tiny import tiny_llama

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a colour."},
]
KEY = "k" * 32


@pytest.fixture(scope="module")
def strict(server: Running) -> Iterator[anthropic.Anthropic]:
    """A client that refuses answers that are not as its types say."""
    with server.anthropic(_strict_response_validation=True) as client:
        yield client


@pytest.fixture
def ask(strict: anthropic.Anthropic):
    def ask(extra: dict | None = None, **options: Any) -> anthropic.types.Message:
        options = {
            "model": "tiny",
            "system": "Be brief.",
            "messages": [ASKED[1]],
            "max_tokens": 20,
            "extra_body": {"temperature": 0} | (extra or {}),
        } | options
        return strict.messages.create(**options)

    return ask


def test_an_answer_is_the_models_own(ask, model: Model, server: Running) -> None:
    message = ask()

    (block,) = message.content
    assert (block.type, block.text) == ("text", model.chat(ASKED, max_tokens=20))
    assert (message.role, message.model) == ("assistant", "tiny")
    assert (message.stop_reason, message.stop_sequence) == ("max_tokens", None)
    assert message.id.startswith("msg_")
    assert message.system_fingerprint == server.served.fingerprint
    usage = message.usage
    n_prompt = usage.input_tokens + usage.cache_read_input_tokens
    assert n_prompt == len(model.chat_tokens(ASKED))
    assert (usage.output_tokens, usage.service_tier) == (20, "standard")


def test_an_answer_that_the_model_ends_is_the_end_of_its_turn(ask) -> None:
    message = ask({"logit_bias": {"258": 100}})

    assert (message.content, message.stop_reason) == ([], "end_turn")


def test_the_stop_sequence_that_ended_the_answer_is_told(ask, strict, model: Model) -> None:
    whole = model.chat(ASKED, max_tokens=20)
    stop = whole[5:7]

    message = ask(stop_sequences=["never this", stop])

    assert message.content[0].text == whole[: whole.index(stop)]
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"temperature": 0.8, "top_p": 0.7}, {"temperature": 0.8, "top_p": 0.7}),
        ({"temperature": 1, "top_k": 3}, {"temperature": 1.0, "top_k": 3}),
        ({"temperature": 1, "min_p": 0.5}, {"temperature": 1.0, "min_p": 0.5}),
    ],
)
def test_every_way_of_drawing_is_the_engines(ask, model: Model, given: dict, meant: dict) -> None:
    want = model.chat(ASKED, max_tokens=20, sampling=Sampling(seed=11, **meant))

    assert ask({"seed": 11} | given).content[0].text == want


@pytest.mark.parametrize(
    ("system", "messages", "said"),
    [
        (
            [
                {"type": "text", "text": "Be", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "brief."},
            ],
            [ASKED[1]],
            [{"role": "system", "content": "Be\nbrief."}, ASKED[1]],
        ),
        (
            anthropic.NOT_GIVEN,
            [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Ho"}]},
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "More"},
            ],
            [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Ho"},
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "More"},
            ],
        ),
    ],
)
def test_blocks_are_the_messages_of_the_conversation(
    ask, strict: anthropic.Anthropic, model: Model, system, messages: list, said: list
) -> None:
    message = ask(system=system, messages=messages)
    count = strict.messages.count_tokens(model="tiny", system=system, messages=messages)

    assert message.content[0].text == model.chat(said, max_tokens=20)
    assert count.input_tokens == len(model.chat_tokens(said))


def test_a_beginning_that_came_before_is_told_as_read_from_the_cache(ask, model: Model) -> None:
    messages = [{"role": "user", "content": "a beginning that is long " * 8}]

    first, second = (ask(messages=messages, max_tokens=1).usage for _ in range(2))

    assert first.cache_read_input_tokens < 64
    assert second.cache_read_input_tokens >= 128
    assert (
        first.input_tokens + first.cache_read_input_tokens
        == second.input_tokens + second.cache_read_input_tokens
    )


def test_the_answer_has_the_form_that_is_asked_for(ask) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["a"],
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}

    message = ask({"logit_bias": {"125": 20}}, output_config=config, max_tokens=60)

    assert message.stop_reason == "end_turn"
    jsonschema.validate(json.loads(message.content[0].text), schema)


BODY = {"model": "tiny", "messages": [ASKED[1]], "max_tokens": 20, "temperature": 0}


def test_events_come_in_the_order_of_the_api(server: Running, model: Model) -> None:
    events = events_of(server, "/v1/messages", BODY)

    kinds = [each["type"] for each in events]
    assert list(dict.fromkeys(kinds)) == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    deltas = [each["delta"]["text"] for each in events if each["type"] == "content_block_delta"]
    assert "".join(deltas) == model.chat([ASKED[1]], max_tokens=20)
    assert events[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 20


def test_the_clients_own_reader_of_streams_comes_to_the_same(strict, ask) -> None:
    options = {"model": "tiny", "messages": [ASKED[1]], "max_tokens": 20, "system": "Be brief."}

    with strict.messages.stream(**options, extra_body={"temperature": 0}) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()

    whole = ask()
    assert said == final.content[0].text == whole.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 20)


def test_a_failure_within_a_stream_is_its_last_event(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    broken = failing(NotEnoughMemory("full"), 3, once=begun)
    monkeypatch.setattr(model, "decoder", broken(model.decoder))
    with running(model) as server:
        last = events_of(server, "/v1/messages", BODY, begun=begun)[-1]

    assert (last["type"], last["error"]) == (
        "error",
        {"type": "overloaded_error", "message": "full"},
    )


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {"user_id": "me"}},
        {"service_tier": "auto"},
        {"extra_headers": {"anthropic-version": "2023-06-01"}},
        {"extra_headers": {"anthropic-beta": "anything-2030-01-01"}},
        {"cache_control": {"type": "ephemeral"}},
        {"thinking": {"type": "disabled"}},
        {"tools": []},
    ],
)
def test_what_changes_nothing_is_taken(ask, given: dict) -> None:
    assert ask(**given).content == ask().content


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": kind} | more]}]}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"extra": {"foo": 1}}, "foo"),
        ({"extra": {"n": 2}}, "n"),
        ({"extra": {"temperature": 1.5}}, "temperature"),
        ({"extra": {"max_tokens": None}}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"container": "c"}, "container"),
        ({"extra": {"mcp_servers": []}}, "mcp_servers"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"extra_headers": {"anthropic-version": "2023-01-01"}}, "anthropic-version"),
        (block("image", source={}), "messages[0].content[0].type"),
        (block("document", source={}), "messages[0].content[0].type"),
        (block("text", text="x", citations=[{}]), "messages[0].content[0].citations"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": ""}]},
                ]
            },
            "messages[1].content[0].type",
        ),
        ({"messages": [ASKED[1], {"role": "assistant", "content": "It"}]}, "messages[1].role"),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                            {"type": "text", "text": "y"},
                        ],
                    },
                ]
            },
            "messages[1].content[1]",
        ),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}]}, "messages"),
        ({"max_tokens": 5000}, "messages: tiny has a context of 512 tokens"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        (
            block("tool_result", tool_use_id="x", content="y"),
            "messages[0].content[0].tool_use_id",
        ),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(ask, given: dict, named: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(**given)

    error = caught.value.body
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert error["error"]["message"].startswith(named)
    assert error["request_id"] == caught.value.request_id
    assert caught.value.request_id.startswith("req_")


def test_another_model_is_not_found(ask) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        ask(model="claude")

    assert caught.value.body["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages/", "/v1/messages/a/b/c"])
def test_a_route_that_is_not_there_is_told_in_the_apis_words(server: Running, path: str) -> None:
    with server.http() as http:
        answer = http.post(path, json={})

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_a_server_that_is_ending_is_overloaded(server: Running, ask) -> None:
    server.app.service.ending = True
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask()
    server.app.service.ending = False

    assert (caught.value.status_code, caught.value.body["error"]["type"]) == (
        529,
        "overloaded_error",
    )
    assert caught.value.response.headers["retry-after"] == "5"


def test_a_key_is_taken_by_either_header_and_asked_for_in_the_apis_words(model: Model) -> None:
    options = {"model": "tiny", "messages": [ASKED[1]], "max_tokens": 1}
    with running(model, keys=[KEY]) as server:
        for way in ({"api_key": KEY}, {"api_key": None, "auth_token": KEY}):
            with server.anthropic(**way) as client:
                assert client.messages.create(**options).usage.output_tokens == 1
        with (
            server.anthropic(api_key="wrong") as client,
            pytest.raises(anthropic.AuthenticationError) as caught,
        ):
            client.messages.create(**options)

    assert caught.value.body["error"]["type"] == "authentication_error"
    assert "x-api-key" in caught.value.body["error"]["message"]


@pytest.mark.parametrize(("fuel", "named"), [(3_000, "stop_sequences"), (20, "tools")])
def test_a_grammar_that_is_too_much_names_what_makes_it_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fuel: int, named: str
) -> None:
    monkeypatch.setitem(vocabulary._LIMITS, "initial_lexer_fuel", fuel)
    tool = {"name": "go", "input_schema": {"type": "object"}}
    stops = [f"{chr(0x4E00 + n)}" * 200 for n in range(64)]
    file = tiny_llama(tmp_path / "tiny.gguf", context=2048)

    with (
        running(load(file, threads=1)) as server,
        server.anthropic() as client,
        pytest.raises(anthropic.BadRequestError, match=f"message': .{named}"),
    ):
        client.messages.create(
            model="tiny", messages=ASKED[1:], max_tokens=5, tools=[tool], stop_sequences=stops
        )


def test_models_are_told_in_the_apis_words_too(
    server: Running, strict: anthropic.Anthropic
) -> None:
    with server.openai(_strict_response_validation=True) as client:
        cloud = client.models.retrieve("tiny")

    page = strict.models.list()
    one = strict.models.retrieve("tiny")

    assert one.id == one.display_name == "tiny"
    assert int(one.created_at.timestamp()) == cloud.created
    assert one in list(page)
    assert page.has_more is False
    assert (page.first_id, page.last_id) == (page.data[0].id, page.data[-1].id)
