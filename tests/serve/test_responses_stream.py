"""Streams of `/v1/responses`: which events come, in which order, and how they end."""

import threading

import openai
import pytest

from aboard.engine import Model
from aboard.errors import NotEnoughMemory
from serve.events import events_of
from serve.failing import failing
from serve.running import Running, running

PATH = "/v1/responses"
BODY = {"model": "tiny", "input": "Name a colour.", "max_output_tokens": 20, "temperature": 0}


def test_events_come_in_the_order_of_the_cloud_api(server: Running) -> None:
    events = events_of(server, PATH, BODY)

    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    kinds = [each["type"] for each in events]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert {kind for kind in kinds if kinds.count(kind) > 1} <= {"response.output_text.delta"}
    assert [each["response"]["status"] for each in events if "response" in each] == [
        "in_progress",
        "in_progress",
        "incomplete",
    ]
    assert events[0]["response"]["output"] == []


def test_a_stream_says_what_the_whole_response_says(server: Running) -> None:
    logprobs = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    with server.http() as http:
        whole = http.post("/v1/responses", json=BODY | logprobs).json()

    events = events_of(server, PATH, BODY | logprobs)

    deltas = [each for each in events if each["type"] == "response.output_text.delta"]
    (want,) = whole["output"]
    got = events[-1]["response"]
    assert "".join(each["delta"] for each in deltas) == want["content"][0]["text"]
    assert [token for each in deltas for token in each["logprobs"]] == want["content"][0][
        "logprobs"
    ]
    assert events[-2]["item"] == got["output"][0]
    assert {each["item_id"] for each in deltas} == {got["output"][0]["id"]}
    changed = ("id", "created_at", "output", "usage")
    assert {name: got[name] for name in got if name not in changed} == {
        name: whole[name] for name in whole if name not in changed
    }
    assert got["output"][0] | {"id": ""} == want | {"id": ""}
    assert got["usage"]["output_tokens"] == whole["usage"]["output_tokens"] == 20


def test_the_clients_own_reader_of_streams_comes_to_the_same(server: Running) -> None:
    options = BODY | {"extra_body": {"logit_bias": {"258": 6}, "seed": 1}, "temperature": 1}
    with server.openai(_strict_response_validation=True) as client:
        whole = client.responses.create(**options)
        with client.responses.stream(**options) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()

    assert kinds[-1] == "response.completed"
    assert final.output_text == whole.output_text
    assert final.status == whole.status == "completed"


def test_a_failure_within_a_stream_is_told_and_nothing_is_kept(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    broken = failing(NotEnoughMemory("full"), 3, once=begun)
    monkeypatch.setattr(model, "decoder", broken(model.decoder))
    with running(model) as server:
        events = events_of(server, PATH, BODY, begun=begun)
        with server.openai() as client, pytest.raises(openai.NotFoundError):
            client.responses.retrieve(events[0]["response"]["id"])

    error, failed = events[-2:]
    assert (error["type"], error["code"], error["message"]) == ("error", "no_memory", "full")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "no_memory", "message": "full"}
