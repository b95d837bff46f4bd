"""Functions that a served model calls for itself, with random weights."""

import json
from collections.abc import Callable, Iterator

import jsonschema
import pytest
from playwright.sync_api import expect

from aboard.engine import load
from serve.browser.window import Window
from serve.running import Running, running
from tool_calls.templates import FAMILIES, tiny_caller

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 10}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTIONS = [{"name": "weather", "description": "The weather now.", "parameters": WEATHER}]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("caller") / "tiny.gguf"
    file = tiny_caller(path, FAMILIES["mistral-numbered"], context=4096)
    with running(load(file, threads=1, context=4096)) as server:
        yield server


def test_a_call_is_shown_and_its_result_taken(
    open_window: Callable[[Running], Window], caller: Running
) -> None:
    window = open_window(caller)
    window.set("Seed", "1")
    window.set("Longest answer", "300")
    tools = window.unfold("Tools")
    tools.get_by_label("Functions, as JSON").fill(json.dumps(FUNCTIONS))
    choice = tools.get_by_label("The model calls")
    choice.select_option(label="weather")
    called = window.ask("How is the weather in Oslo?")
    jsonschema.validate(json.loads(called.locator("pre").inner_text()), WEATHER)

    choice.select_option(label="none")
    window.set("Longest answer", "10")
    called.get_by_label("Result of weather").fill("It rains.")
    called.get_by_role("button", name="Send results").click()
    answer = window.answered(4)
    expect(answer.get_by_role("alert")).to_have_count(0)
    asked, first, result, _ = window.exported()[0]["messages"]
    assert first["toolCalls"][0]["function"]["name"] == "weather"
    assert result["content"] == "It rains."
    assert result["toolCallId"] == first["toolCalls"][0]["id"]
    assert asked["role"] == "user"
