"""What a text could do to the page, and whom it lets in. Each window watches its policy, too."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from aboard.artifact.importing import import_checkpoint
from aboard.engine import Model, load
from aboard.serve.served import served
from serve.browser.window import Window
from serve.gate import gated
from serve.running import Running, running
from tiny_encoders import TinyBert, bert_folder

ATTACKS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "# <svg onload=alert(1)>",
    "- <b>bold</b> &lt;i&gt;",
    "| <img src=x> | b |\n|---|---|\n| <script>1</script> | c |",
    "```html\n<script>alert(1)</script>\n```",
    "[click](javascript:alert(1))",
    "![seen](http://evil.example/pixel.png)",
    '[x](http://evil.example/"onmouseover="alert(1))',
]
FORBIDDEN = "img, script, svg, iframe, object, embed, link, style, form, [style], [onerror], b, i"


@pytest.mark.parametrize("text", ATTACKS)
def test_a_models_text_stays_a_text(window: Window, text: str) -> None:
    window.hold_to_text(text)
    window.set("Longest answer", "200")
    answer = window.ask(text)

    assert window.contents() == [text, text]
    for message in (answer, window.messages.first):
        assert message.locator(".body").locator(FORBIDDEN).count() == 0
        for link in message.locator(".body a").all():
            assert link.get_attribute("href").startswith("http://evil.example/")
            assert link.get_attribute("rel") == "noopener noreferrer"


def test_the_browser_refuses_the_page_what_it_never_does(window: Window) -> None:
    window.expect_error("")

    tried = window.page.evaluate(
        """() => {
          try { document.body.innerHTML = "<p>x</p>"; return "done"; }
          catch (error) { return error.name; }
        }"""
    )
    fetched = window.page.evaluate(
        "fetch('http://127.0.0.2:9/').then(() => 'done', (error) => error.name)"
    )

    assert (tried, fetched) == ("TypeError", "TypeError")
    assert all(each.url.startswith(window.server.url) for each in window.requests)


def test_a_key_is_asked_for_where_one_is_wanted_and_forgotten_with_the_tab(
    open_window: Callable[[Running], Window], model: Model
) -> None:
    key = "k" * 32
    with running(model, keys=[key]) as server:
        window = open_window(server)
        window.expect_error("401")
        page = window.page
        page.get_by_label("Key", exact=True).fill("wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("alert")).to_have_text("The server doesn't know that key.")
        page.get_by_label("Key", exact=True).fill(key)
        page.keyboard.press("Enter")
        window.set("Longest answer", "8")
        answer = window.ask("Hello")

        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]
        for label in ("Copy as curl", "Copy as Python"):
            copied = window.press_copy(answer, label)
            assert "ABOARD_API_KEY" in copied
            assert key not in copied
        assert key not in str(window.exported())


def test_a_key_that_is_not_given_is_told_as_the_server_does(
    open_window: Callable[[Running], Window], model: Model
) -> None:
    with running(model, keys=["k" * 32]) as server:
        window = open_window(server)
        window.expect_error("401")
        window.page.get_by_role("button", name="Cancel").click()

        expect(window.page.get_by_role("alert").first).to_contain_text("invalid_api_key")


def test_a_server_that_is_gone_is_told(
    open_window: Callable[[Running], Window], model: Model
) -> None:
    with running(model) as server:
        window = open_window(server)
        expect(window.page.get_by_label("Model", exact=True)).to_have_value("tiny")
    window.expect_error("net::ERR")
    window.say("Hello")

    problem = window.messages.last.get_by_role("alert")
    expect(problem).to_contain_text("the server can't be reached")


def test_an_answer_whose_connection_breaks_is_told_and_asked_for_again(
    window: Window, model: Model
) -> None:
    window.expect_error("net::ERR")
    with gated(model) as gate:
        window.hold_to_text("one two three four five")
        window.say("Count.")
        gate.let(9)
        expect(window.messages.last.locator(".body")).to_contain_text("one two")
        for each in list(window.server.server.server_state.connections):
            each.loop.call_soon_threadsafe(each.transport.abort)
        problem = window.messages.last.get_by_role("alert")
        expect(problem).to_contain_text("the connection ended before the answer did")
        gate.open()
    expect(window.messages.last.locator(".body")).to_contain_text("one two")
    window.messages.last.get_by_role("button", name="Try again").click()
    window.answered(2)

    assert window.contents() == ["Count.", "one two three four five"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<p>Bad gateway</p>", "the connection ended before the answer did"),
        ("data: <p>\n\n", "no JSON"),
    ],
)
def test_an_answer_that_another_server_gives_is_told(
    window: Window, body: str, reason: str
) -> None:
    window.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body))
    window.say("Hello")

    expect(window.messages.last.get_by_role("alert")).to_contain_text(reason)
    expect(window.page.get_by_role("button", name="Send")).to_be_visible()


@pytest.mark.parametrize("script", ["app.js", "inline.js"])
def test_a_page_without_its_scripts_says_what_a_proxy_needs(window: Window, script: str) -> None:
    window.expect_error("403")
    window.page.route(f"**/page/{script}", lambda route: route.fulfill(status=403, body="{}"))
    window.page.reload()

    said = window.page.get_by_role("alert")
    expect(said).to_contain_text(f"aboard serve --public-origin {window.server.url}")


def test_encoders_are_not_asked_for_answers(
    open_window: Callable[[Running], Window], model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "tiny-bert.gguf"
    import_checkpoint(bert_folder(tmp_path / "bert", TinyBert(), seed=3), path)
    encoder = load(path, threads=1)
    with running(encoder, name="encoder", more=[served(model, "tiny")]) as server:
        window = open_window(server)
        choice = window.page.get_by_label("Model", exact=True)
        expect(choice).to_have_value("tiny")

        assert choice.locator("option").all_text_contents() == ["tiny"]


def test_a_browser_that_forbids_to_keep_anything_has_the_page_all_the_same(
    context: BrowserContext, model: Model
) -> None:
    key = "k" * 32
    assert context.browser is not None
    strict = context.browser.new_context()
    for name in ("localStorage", "sessionStorage"):
        refuses = "throw new DOMException('forbidden', 'SecurityError')"
        strict.add_init_script(f"Object.defineProperty(window, '{name}', {{get() {{{refuses}}}}})")
    with running(model, keys=[key]) as server:
        window = Window(strict, server)
        window.page.get_by_label("Key", exact=True).fill(key)
        window.page.keyboard.press("Enter")
        window.page.get_by_role("button", name="Dark").click()
        window.set("Longest answer", "8")
        window.ask("Hello")

        expect(window.page.locator("html")).to_have_attribute("data-theme", "dark")
        assert len(window.contents()) == 2
        assert [each for each in window.errors if "401" not in each] == []
    strict.close()
