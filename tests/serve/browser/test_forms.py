"""Answers held to a form, called functions, and tokens with those that were likely."""

import json
import math
from typing import Any

import jsonschema
import pytest
from playwright.sync_api import Route, expect

from aboard.engine import Model
from serve.browser.window import Window

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["glad", "sad"]}, "sure": {"type": "boolean"}},
    "required": ["mood", "sure"],
    "additionalProperties": False,
}


def events(*deltas: dict[str, Any], finish: str) -> str:
    """A stream of the cloud API, as a server sends it."""
    choices = [{"index": 0, "delta": each, "finish_reason": None} for each in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks = [{"system_fingerprint": "fp_0", "choices": [each]} for each in choices]
    return "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"


def answering(window: Window, streams: list[str]) -> list[dict[str, Any]]:
    """Have the page's requests answered by one stream after the other; gives their bodies."""
    bodies: list[dict[str, Any]] = []

    def answer(route: Route) -> None:
        bodies.append(route.request.post_data_json)
        route.fulfill(body=streams[len(bodies) - 1], content_type="text/event-stream")

    window.page.route("**/v1/chat/completions", answer)
    return bodies


def test_an_answer_of_a_schema_is_valid_and_laid_out(window: Window) -> None:
    window.set("Longest answer", "200")
    window.hold_to("JSON of a schema", json.dumps(SCHEMA))
    answer = window.ask("How are you?")

    said = json.loads(window.contents()[1])
    jsonschema.validate(said, SCHEMA)
    expect(answer.locator("pre")).to_have_text(json.dumps(said, indent=2), use_inner_text=True)


@pytest.mark.parametrize("text", ['{"type": ', "[]", '"object"', ""])
def test_a_schema_that_is_none_is_not_sent(window: Window, text: str) -> None:
    window.hold_to("JSON of a schema", text)
    window.say("How are you?")

    field = window.page.get_by_label("JSON schema", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(window.messages).to_have_count(0)


def test_a_schema_that_can_not_be_enforced_is_told_by_its_place(window: Window) -> None:
    window.expect_error("400")
    window.hold_to("JSON of a schema", '{"properties": {"a": {"$dynamicRef": "#a"}}}')
    window.say("How are you?")

    problem = window.messages.last.get_by_role("alert")
    expect(problem).to_contain_text("unsupported_schema")
    expect(problem).to_contain_text("parameter response_format.json_schema.schema")


def test_a_schema_is_tidied_up(window: Window) -> None:
    window.hold_to("JSON of a schema", '{"type":"object"}')
    window.page.get_by_role("button", name="Tidy up").click()

    field = window.page.get_by_label("JSON schema", exact=True)
    expect(field).to_have_value('{\n  "type": "object"\n}')


def test_an_answer_is_one_of_a_few_texts(window: Window) -> None:
    window.hold_to("one of a few texts", "salty\nsweet")
    window.ask("How is the sea?")

    assert window.contents()[1] in ("salty", "sweet")


def test_tokens_are_shown_with_those_that_were_likely(window: Window, model: Model) -> None:
    window.hold_to("one of a few texts", "salty\nsweet")
    window.page.get_by_label("Show how likely each token was").check()
    answer = window.ask("How is the sea?")
    answer.get_by_role("button", name="Tokens").click()
    row = answer.get_by_role("group", name="Tokens")
    row.press("ArrowRight")
    row.press("ArrowRight")

    prompt = model.chat_tokens([{"role": "user", "content": "How is the sea?"}])
    said = window.contents()[1].encode()
    logits = model.logits([*prompt, said[0]])[-1].astype(float)
    share = math.exp(logits[said[1]] - logits.max()) / sum(
        math.exp(each - logits.max()) for each in logits
    )
    drawn = answer.locator(".alternatives tr", has_text="drawn")
    expect(drawn.locator("code")).to_have_text(chr(said[1]))
    expected = "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
    expect(drawn.locator("td").nth(2)).to_have_text(expected)


def test_a_called_function_is_shown_and_its_result_sent_back(window: Window) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    streams = [
        events(
            {"role": "assistant", "tool_calls": [{"index": 0, **call}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"place"'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ': "Rome"}'}}]},
            finish="tool_calls",
        ),
        events({"role": "assistant", "content": "It rains."}, finish="stop"),
    ]
    bodies = answering(window, streams)
    tools = window.unfold("Tools")
    tools.get_by_role("button", name="Fill in an example").click()
    tools.get_by_label("The model calls").select_option(label="weather")
    called = window.ask("What is the weather in Rome?")
    expect(called.locator("pre")).to_have_text('{\n  "place": "Rome"\n}', use_inner_text=True)
    called.get_by_label("Result of weather").fill("rain")
    called.get_by_role("button", name="Send results").click()
    expect(window.answered(4).locator(".body")).to_have_text("It rains.")

    [first, second] = bodies
    assert first["tools"][0]["function"]["name"] == "weather"
    assert first["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    call["function"]["arguments"] = '{"place": "Rome"}'
    assert second["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]


def test_a_call_that_was_cut_waits_for_no_result_and_is_not_sent_again(window: Window) -> None:
    called = {"name": "weather", "arguments": '{"place": "Ro'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": called}
    streams = [
        events({"role": "assistant", "tool_calls": [call]}, finish="length"),
        events({"role": "assistant", "content": "It rains."}, finish="stop"),
    ]
    bodies = answering(window, streams)
    cut = window.ask("What is the weather in Rome?")
    expect(cut.locator(".calls")).to_contain_text('{"place": "Ro')
    n_forms = cut.get_by_role("button", name="Send results").count()
    window.ask("And now?")

    assert n_forms == 0
    assert bodies[1]["messages"][1:] == [
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "And now?"},
    ]


@pytest.mark.parametrize("text", ["{}", "[{}]", '[{"name": ""}]', "["])
def test_functions_that_are_none_are_not_sent(window: Window, text: str) -> None:
    window.unfold("Tools").get_by_label("Functions, as JSON").fill(text)
    window.say("Hello")

    expect(window.page.get_by_label("Functions, as JSON")).to_be_focused()
    expect(window.messages).to_have_count(0)
