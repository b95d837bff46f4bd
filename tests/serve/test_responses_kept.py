"""Responses that are kept: followed on, shown, forgotten, and out of others' reach."""

from collections.abc import Iterator
from contextlib import suppress

import openai
import pytest

from aboard.engine import Model
from aboard.serve.limits import Limits
from aboard.serve.refusals import Refusal
from aboard.serve.responses.given import ResponseObject
from aboard.serve.responses.items import InputText, MessageItem
from aboard.serve.responses.kept import KeptResponses, items_of
from serve.running import Running, running

KEYS = ["k" * 32, "another-key-of-length"]
ASKED = {"model": "tiny", "max_output_tokens": 10, "temperature": 0}


@pytest.fixture(scope="module")
def strict(server: Running) -> Iterator[openai.OpenAI]:
    with server.openai(_strict_response_validation=True) as client:
        yield client


def test_what_follows_on_a_response_answers_all_that_was_said(
    strict: openai.OpenAI, model: Model
) -> None:
    first = strict.responses.create(input="Hi", instructions="Be kind.", **ASKED)
    second = strict.responses.create(input="More", previous_response_id=first.id, **ASKED)
    third = strict.responses.create(
        input="Still", previous_response_id=second.id, instructions="Be brief.", **ASKED
    )

    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "More"},
    ]
    assert second.output_text == model.chat(said, max_tokens=10)
    said += [
        {"role": "assistant", "content": second.output_text},
        {"role": "user", "content": "Still"},
    ]
    system = {"role": "system", "content": "Be brief."}
    assert third.output_text == model.chat([system, *said], max_tokens=10)
    assert third.previous_response_id == second.id


def test_a_streamed_response_is_kept_too(strict: openai.OpenAI) -> None:
    *_, last = strict.responses.create(input="Hi", stream=True, **ASKED)

    assert strict.responses.retrieve(last.response.id) == last.response


def test_a_kept_response_is_shown_until_it_is_deleted(strict: openai.OpenAI) -> None:
    response = strict.responses.create(input="Hi", metadata={"of": "me"}, **ASKED)

    shown = strict.responses.retrieve(response.id)
    strict.responses.delete(response.id)

    assert shown == response
    for ask in (
        strict.responses.retrieve,
        strict.responses.delete,
        strict.responses.input_items.list,
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            ask(response.id)
        assert caught.value.code == "response_not_found"


def test_a_deletion_is_told(server: Running, strict: openai.OpenAI) -> None:
    response = strict.responses.create(input="Hi", **ASKED)

    with server.http() as http:
        told = http.delete(f"/v1/responses/{response.id}").json()

    assert told == {"id": response.id, "object": "response", "deleted": True}


def test_what_is_not_to_be_stored_is_not_kept(strict: openai.OpenAI) -> None:
    response = strict.responses.create(input="Hi", store=False, **ASKED)

    with pytest.raises(openai.NotFoundError):
        strict.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as caught:
        strict.responses.create(input="More", previous_response_id=response.id, **ASKED)
    assert caught.value.code == "previous_response_not_found"


def test_the_items_before_a_response_come_page_by_page(strict: openai.OpenAI) -> None:
    first = strict.responses.create(
        input=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], **ASKED
    )
    second = strict.responses.create(input="c", previous_response_id=first.id, **ASKED)

    page = strict.responses.input_items.list(second.id, limit=3)
    backwards = list(page)
    forwards = list(strict.responses.input_items.list(second.id, order="asc"))

    assert [item.content[0].text for item in forwards] == ["a", "b", first.output_text, "c"]
    assert [item.id for item in backwards] == [item.id for item in reversed(forwards)]
    assert len(page.data) == 3
    assert (page.has_more, page.first_id, page.last_id) == (
        True,
        forwards[3].id,
        forwards[1].id,
    )


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("order=up", "order"),
        ("of=1", "of"),
        ("after=x", "after"),
    ],
)
def test_a_query_that_is_not_understood_is_refused_by_name(
    server: Running, strict: openai.OpenAI, query: str, param: str
) -> None:
    response = strict.responses.create(input="Hi", **ASKED)

    with server.http() as http:
        answer = http.get(f"/v1/responses/{response.id}/input_items?{query}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_kept_response_is_not_streamed(server: Running, strict: openai.OpenAI) -> None:
    response = strict.responses.create(input="Hi", **ASKED)

    with server.http() as http:
        answer = http.get(f"/v1/responses/{response.id}?stream=true")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")


def test_only_who_has_the_key_reaches_what_was_kept_for_it(model: Model) -> None:
    with (
        running(model, keys=KEYS) as server,
        server.openai(api_key=KEYS[0]) as mine,
        server.openai(api_key=KEYS[1]) as others,
    ):
        response = mine.responses.create(input="Hi", **ASKED)

        assert mine.responses.retrieve(response.id).id == response.id
        for ask in (others.responses.retrieve, others.responses.delete):
            with pytest.raises(openai.NotFoundError):
                ask(response.id)
        with pytest.raises(openai.BadRequestError):
            others.responses.create(input="More", previous_response_id=response.id, **ASKED)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def response(name: str, previous: str | None = None) -> ResponseObject:
    facts = dict.fromkeys(ResponseObject.model_fields) | {
        "id": name,
        "object": "response",
        "previous_response_id": previous,
        "status": "completed",
        "service_tier": "default",
        "truncation": "disabled",
        "tool_choice": "auto",
        "model": "tiny",
        "system_fingerprint": "fp_0",
    }
    numbers = ("created_at", "temperature", "top_p", "presence_penalty", "frequency_penalty")
    facts |= dict.fromkeys((*numbers, "top_logprobs"), 0)
    facts |= dict.fromkeys(("background", "store", "parallel_tool_calls"), False)
    return ResponseObject(**facts | {"output": [], "tools": [], "text": {}, "metadata": {}})


def said(text: str) -> list[MessageItem]:
    facts = {"id": f"msg_{text[:9]}", "type": "message", "role": "user", "status": "completed"}
    return [MessageItem(**facts, content=[InputText(type="input_text", text=text)])]


def kept_of(kept: KeptResponses, names: str, owner: str = "me") -> str:
    """Those of some one-letter names that are kept."""
    found = ""
    for name in names:
        with suppress(Refusal):
            kept.text(owner, name)
            found += name
    return found


def test_the_ones_that_were_not_asked_for_the_longest_go_first() -> None:
    kept = KeptResponses(Limits(max_kept_responses=3))
    for name in "abc":
        kept.keep("me", response(name), said(name))

    kept.text("me", "a")
    kept.keep("me", response("d"), said("d"))

    assert kept_of(kept, "abcd") == "acd"


def test_each_holder_has_room_of_their_own() -> None:
    kept = KeptResponses(Limits(max_kept_responses=1))

    kept.keep("me", response("a"), said("a"))
    kept.keep("you", response("b"), said("b"))

    assert kept_of(kept, "ab") == "a"
    assert kept_of(kept, "ab", "you") == "b"


def test_no_more_bytes_are_kept_than_may_be() -> None:
    kept = KeptResponses(Limits(max_kept_bytes=10_000))
    for name in "abc":
        kept.keep("me", response(name), said(name * 4000))

    kept_before = kept_of(kept, "abc")
    kept.keep("me", response("d"), said("d" * 20_000))

    assert kept_before == "bc"
    assert kept_of(kept, "abcd") == ""


def test_what_nobody_asks_for_is_forgotten_in_time() -> None:
    clock = Clock()
    kept = KeptResponses(Limits(kept_s=10), clock)
    kept.keep("me", response("a"), said("a"))
    kept.keep("me", response("b"), said("b"))

    clock.now = 9
    kept.text("me", "b")
    clock.now = 15

    assert kept_of(kept, "ab") == "b"


def test_who_follows_on_a_response_uses_all_that_it_follows_on() -> None:
    kept = KeptResponses(Limits(max_kept_responses=3))
    kept.keep("me", response("a"), said("one"))
    kept.keep("me", response("b", "a"), said("two"))
    kept.keep("me", response("x"), said("x"))

    texts = kept.texts("me", "b")
    kept.keep("me", response("y"), said("y"))

    assert [item.text for item in items_of(texts)] == ["one", "two"]
    assert kept_of(kept, "abxy") == "aby"


def test_a_response_whose_beginning_is_gone_can_be_shown_but_not_followed_on() -> None:
    kept = KeptResponses(Limits())
    kept.keep("me", response("a"), said("one"))
    kept.keep("me", response("b", "a"), said("two"))

    kept.forget("me", "a")

    assert kept_of(kept, "ab") == "b"
    with pytest.raises(Refusal, match="no response 'a' is kept here, on which 'b' follows"):
        kept.texts("me", "b")
