"""The page for everyone: axe-core's rules, light and dark, wide and narrow, by keyboard alone."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from aboard.engine import Model
from serve.browser.window import Window
from serve.gate import gated

NARROW = {"width": 360, "height": 640}
IS_AT_END = """() => {
  const log = document.querySelector("#log");
  return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 2;
}"""
SHOWN = """- a list
- of `code` and [a link](https://example.org)

| a | b |
|---|---|
| 1 | 2 |

```python
print("x")
```"""


def violations(window: Window) -> list[Any]:
    """Each rule of axe-core that is broken, with where."""
    told = Axe().run(window.page).response
    assert len(told["passes"]) > 20
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]]) for each in told["violations"]
    ]


def is_dark(window: Window) -> bool:
    colour = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")) < 300


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_for_accessibility_is_broken(window: Window, scheme: Any) -> None:
    window.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert is_dark(window) == (scheme == "dark")
    assert violations(window) == []

    window.expect_error("400")
    window.set("Longest answer", "200")
    window.page.get_by_label("Show how likely each token was").check()
    window.hold_to("JSON of a schema")
    window.ask("How are you?").locator("summary").click()
    window.hold_to_text(SHOWN)
    answer = window.ask("Show me.")
    window.unfold("Tools").get_by_role("button", name="Fill in an example").click()
    assert violations(window) == []

    answer.get_by_role("button", name="Tokens").click()
    answer.get_by_role("group", name="Tokens").press("ArrowRight")
    window.messages.nth(2).get_by_role("button", name="Edit").click()
    assert violations(window) == []


def test_no_rule_is_broken_by_what_is_refused(window: Window) -> None:
    window.expect_error("400")
    window.set("Longest answer", "100000")
    window.say("Hello")
    expect(window.messages.last.get_by_role("alert")).to_be_visible()
    window.set("Top p", "2")

    assert violations(window) == []


def test_the_switch_turns_light_and_dark_and_is_remembered(window: Window) -> None:
    page = window.page
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Dark").click()
    assert is_dark(window)

    page.reload()
    assert is_dark(window)
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Dark").click()
    assert not is_dark(window)


def test_a_narrow_window_shows_one_thing_at_a_time(window: Window) -> None:
    page = window.page
    window.hold_to_text("wide " * 7)
    page.set_viewport_size(NARROW)
    settings = page.get_by_role("complementary", name="Settings")
    expect(settings).to_be_hidden()
    page.get_by_role("button", name="Settings").click()
    expect(settings).to_be_visible()
    page.keyboard.press("Escape")
    expect(settings).to_be_hidden()
    expect(page.get_by_role("button", name="Settings")).to_be_focused()

    window.ask("A line that is longer than the window is wide, and an_unbroken_word" + "_" * 80)
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert violations(window) == []


def test_the_end_stays_in_sight_until_the_user_scrolls_away(window: Window, model: Model) -> None:
    window.page.set_viewport_size({"width": 1280, "height": 400})
    log = window.page.get_by_role("log")
    window.hold_to_text("\n\n".join("abcdefg"))
    window.ask("Count.")
    window.page.wait_for_function(IS_AT_END)
    with gated(model) as gate:
        window.say("Again.")
        window.page.wait_for_function(IS_AT_END)
        gate.let(7)
        expect(window.messages.last.locator("p")).to_have_count(3)
        window.page.wait_for_function(IS_AT_END)
        log.evaluate("(log) => { log.scrollTop = 0; }")
        gate.open()
        window.answered(4)

    expect(window.messages.last.locator("p")).to_have_count(7)
    assert log.evaluate("(log) => log.scrollTop") == 0
