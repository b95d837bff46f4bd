"""Conversations in the browser: asked, streamed, stopped, and gone on with from elsewhere."""

from playwright.sync_api import expect

from aboard.engine import Model
from serve.browser.window import Window
from serve.gate import gated
from serve.watch import watched


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_an_answer_is_the_models_own(window: Window, model: Model) -> None:
    window.ask("Name a colour.")

    said = model.chat([user("Name a colour.")], max_tokens=40)
    assert window.contents() == ["Name a colour.", said]
    expect(window.message).to_have_value("")


def test_the_whole_conversation_is_answered_behind_the_system_prompt(
    window: Window, model: Model
) -> None:
    window.page.get_by_label("System prompt").fill("Be brief.")
    window.ask("Name a colour.")
    window.ask("Another.")

    asked = [{"role": "system", "content": "Be brief."}, user("Name a colour.")]
    first = model.chat(asked, max_tokens=40)
    second = model.chat([*asked, assistant(first), user("Another.")], max_tokens=40)
    assert window.contents() == ["Name a colour.", first, "Another.", second]


def test_a_text_is_shown_as_it_comes_and_stays_when_it_is_stopped(
    window: Window, model: Model
) -> None:
    with gated(model) as gate:
        window.hold_to_text("one two three four five")
        window.say("Count.")
        gate.let(9)
        answer = window.messages.last
        expect(answer.locator(".body")).to_contain_text("one two")
        expect(answer.locator(".body")).not_to_contain_text("three")
        window.message.press("Escape")
        window.answered(2)
        gate.open()

    expect(window.page.get_by_role("button", name="Send")).to_be_visible()
    expect(answer).to_contain_text("stopped")
    assert "one two three".startswith(window.contents()[1].strip())


def test_the_stop_button_stops(window: Window, model: Model) -> None:
    with gated(model) as gate:
        window.say("Count.")
        gate.wait(1)
        window.page.get_by_role("button", name="Stop").click()
        window.answered(2)
        gate.open()

    expect(window.messages.last).to_contain_text("stopped")
    expect(window.message).to_be_focused()


def test_an_answer_that_is_deleted_while_it_is_made_ends(window: Window, model: Model) -> None:
    with gated(model) as gate, watched() as watch:
        window.say("Count.")
        gate.wait(1)
        window.page.get_by_role("button", name="New conversation").first.click()
        window.page.get_by_role("button", name="Remove “Count.”").click()
        facts = watch.next()  # before the gate is open, or the answer may be complete first
        gate.open()

    assert facts["code"] == "client_gone"
    expect(window.notice).to_contain_text("1 conversation removed.")
    expect(window.page.get_by_role("button", name="Send")).to_be_visible()


def test_regenerating_asks_the_same_again_and_can_be_taken_back(
    window: Window, model: Model
) -> None:
    window.ask("Name a colour.")
    window.ask("Another.")
    before = window.contents()
    window.set("Longest answer", "7")
    window.messages.nth(1).get_by_role("button", name="Regenerate").click()
    window.answered(2)

    assert window.contents() == [before[0], model.chat([user("Name a colour.")], max_tokens=7)]
    window.notice.get_by_role("button", name="Undo").click()
    expect(window.messages).to_have_count(4)
    assert window.contents() == before


def test_an_edited_message_is_answered_in_the_place_of_the_old(
    window: Window, model: Model
) -> None:
    window.ask("Name a colour.")
    window.ask("Another.")
    window.messages.first.get_by_role("button", name="Edit").click()
    area = window.messages.first.get_by_role("textbox")
    expect(area).to_be_focused()
    expect(area).to_have_value("Name a colour.")
    area.fill("Name a fish.")
    area.press("Enter")
    window.answered(2)

    said = model.chat([user("Name a fish.")], max_tokens=40)
    assert window.contents() == ["Name a fish.", said]


def test_an_answer_can_be_put_otherwise_and_gone_on_from(window: Window, model: Model) -> None:
    window.ask("Name a colour.")
    window.messages.last.get_by_role("button", name="Edit").click()
    area = window.messages.last.get_by_role("textbox")
    area.fill("Blue.")
    area.press("Enter")
    window.ask("Another.")

    told = [user("Name a colour."), assistant("Blue."), user("Another.")]
    said = model.chat(told, max_tokens=40)
    assert window.contents() == ["Name a colour.", "Blue.", "Another.", said]


def test_escape_leaves_a_message_as_it_was(window: Window) -> None:
    window.ask("Name a colour.")
    window.messages.first.get_by_role("button", name="Edit").click()
    area = window.messages.first.get_by_role("textbox")
    area.fill("Something else.")
    area.press("Escape")

    expect(window.messages.first.locator(".body")).to_have_text("Name a colour.")


def test_a_message_is_deleted_with_what_follows_and_brought_back(window: Window) -> None:
    window.ask("Name a colour.")
    window.ask("Another.")
    before = window.contents()
    window.messages.nth(1).get_by_role("button", name="Delete").click()

    expect(window.messages).to_have_count(1)
    expect(window.notice).to_contain_text("3 messages deleted.")
    window.notice.get_by_role("button", name="Undo").click()
    assert window.contents() == before


def test_a_refusal_is_told_with_its_code_and_tried_again(window: Window, model: Model) -> None:
    window.expect_error("400")
    window.set("Longest answer", "100000")
    window.say("Name a colour.")
    problem = window.messages.last.get_by_role("alert")

    expect(problem).to_contain_text("HTTP 400")
    expect(problem).to_contain_text("context_length_exceeded")
    window.set("Longest answer", "40")
    window.messages.last.get_by_role("button", name="Try again").click()
    window.answered(2)
    said = model.chat([user("Name a colour.")], max_tokens=40)
    assert window.contents() == ["Name a colour.", said]


def test_what_can_not_be_asked_with_is_told_before_it_is_sent(window: Window) -> None:
    window.set("Top p", "1.5")
    window.say("Name a colour.")

    expect(window.notice).to_contain_text("Top p: not within 0 to 1")
    expect(window.page.get_by_label("Top p")).to_be_focused()
    expect(window.message).to_have_value("Name a colour.")
    expect(window.messages).to_have_count(0)


def test_an_answer_tells_what_it_took(window: Window, model: Model) -> None:
    answer = window.ask("Name a colour.")
    answer.locator("summary").click()
    n_prompt = len(model.chat_tokens([user("Name a colour.")]))

    facts = answer.locator("dl")
    expect(facts).to_contain_text(f"{n_prompt} tokens, ")
    expect(facts).to_contain_text("40 tokens")
    expect(facts).to_contain_text(window.server.served.fingerprint)
    expect(window.page.locator("#context-words")).to_have_text(f"{n_prompt + 40} of 512 tokens")


def test_the_keyboard_is_enough(window: Window, model: Model) -> None:
    page = window.page
    page.reload()
    expect(window.message).to_be_focused()
    with gated(model) as gate:
        page.keyboard.type("one")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        expect(window.message).to_have_value("one\ntwo")
        page.keyboard.press("Enter")
        gate.wait(1)
        page.keyboard.press("Escape")
        window.answered(2)
        gate.open()
    while not page.evaluate("document.activeElement.textContent === 'Edit'"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")

    expect(window.messages.last.get_by_role("textbox")).to_be_focused()


def test_conversations_are_kept_apart_and_removed_for_a_while(window: Window) -> None:
    page = window.page
    window.ask("Name a colour.")
    page.get_by_role("button", name="New conversation").first.click()
    expect(window.messages).to_have_count(0)
    window.ask("Name a fish.")
    shelf = page.get_by_role("navigation", name="Conversations")
    shelf.get_by_role("button", name="Name a colour.", exact=True).click()

    expect(window.messages.first).to_contain_text("Name a colour.")
    shelf.get_by_role("button", name="Remove “Name a colour.”").click()
    expect(window.messages.first).to_contain_text("Name a fish.")
    window.notice.get_by_role("button", name="Undo").click()
    expect(window.messages.first).to_contain_text("Name a colour.")
