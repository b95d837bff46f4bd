"""Answers had again from what the page copies, and conversations from what it exports."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from aboard.engine import Model
from aboard.serve.defaults import Defaults
from aboard.serve.served import served
from serve.browser.window import Window
from serve.gate import gated
from serve.running import Running, running

QUESTION = """It's "odd": \\n $HOME `id` 'x' é ✓
True null {"a": [1]}"""


@pytest.fixture
def drawn(window: Window) -> Window:
    """Its answers are drawn, with parameters of the cloud API and beyond it."""
    window.set("Temperature", "0.9")
    window.set("Top k", "50")
    window.set("Min p", "0.001")
    window.set("Stop texts", "never said\\n\nnor this")
    window.hold_to("what a regular expression matches", "[a-z]{20}")
    return window


def test_the_copied_command_gives_the_same_answer(drawn: Window) -> None:
    answer = drawn.ask(QUESTION)

    command = drawn.press_copy(answer, "Copy as curl")
    told = subprocess.run(["bash", "-c", command], capture_output=True, check=True)

    said = json.loads(told.stdout)["choices"][0]["message"]["content"]
    assert [QUESTION, said] == drawn.contents()


def test_the_copied_program_gives_the_same_answer(drawn: Window) -> None:
    drawn.page.get_by_label("System prompt").fill("Say 'it'.")
    drawn.ask(QUESTION)
    answer = drawn.ask("And then?")

    program = drawn.press_copy(answer, "Copy as Python")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.decode().removesuffix("\n") == drawn.contents()[3]


def test_the_seed_of_an_answer_gives_it_again(drawn: Window) -> None:
    answer = drawn.ask("Name a colour.")
    first = drawn.contents()[1]
    answer.locator("summary").click()
    answer.get_by_role("button", name="Use this seed").click()
    answer.get_by_role("button", name="Regenerate").click()
    drawn.answered(2)

    assert drawn.contents()[1] == first


def test_another_seed_is_drawn_for_each_answer(drawn: Window) -> None:
    drawn.ask("Name a colour.")
    first = drawn.contents()[1]
    drawn.messages.last.get_by_role("button", name="Regenerate").click()
    drawn.answered(2)

    assert drawn.contents()[1] != first


def test_what_was_exported_is_there_again_once_it_is_imported(
    window: Window, tmp_path: Path
) -> None:
    window.ask("Name a colour.")
    before = window.exported()
    file = tmp_path / "kept.json"
    kept = {"kind": "aboard conversations", "version": 1, "conversations": before}
    file.write_text(json.dumps(kept), "utf-8")
    window.page.get_by_role("button", name="New conversation").first.click()
    window.page.locator("#import-file").set_input_files(file)

    expect(window.messages).to_have_count(2)
    assert window.exported() == before * 2


def test_no_name_in_a_file_becomes_a_line_of_a_copied_program(
    window: Window, tmp_path: Path
) -> None:
    attack = "n=1)\nraise SystemExit('run')\n("
    options = {"model": "tiny", "seed": 1, attack: 1}
    facts = {"system": "", "options": options, "finish": "stop"}
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "facts": facts}]
    kept = [{"system": "", "messages": said}]
    file = tmp_path / "kept.json"
    archive = {"kind": "aboard conversations", "version": 1, "conversations": kept}
    file.write_text(json.dumps(archive), "utf-8")
    window.page.locator("#import-file").set_input_files(file)

    program = window.press_copy(window.messages.last, "Copy as Python")

    assert len(ast.parse(program).body) == 4  # as of any answer
    assert json.dumps(attack) in program


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSON"),
        ("[]", "expected an object"),
        ('{"kind": "other"}', "holds no aboard conversations"),
        (
            '{"kind": "aboard conversations", "version": 1, "conversations":'
            ' [{"system": "", "messages": [{"role": "nobody", "content": ""}]}]}',
            "conversations[0].messages[0].role",
        ),
        (
            '{"kind": "aboard conversations", "version": 1, "conversations":'
            ' [{"system": "", "messages": [{"role": "user", "content": 1}]}]}',
            "conversations[0].messages[0].content: expected a text",
        ),
    ],
)
def test_a_file_that_holds_none_is_refused_with_the_reason(
    window: Window, tmp_path: Path, text: str, reason: str
) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(text)
    window.page.locator("#import-file").set_input_files(file)

    expect(window.notice).to_contain_text("wrong.json can't be read")
    expect(window.notice).to_contain_text(reason)


KEEP = "Keep them in this browser"


def test_tabs_keep_what_each_other_added_and_removed(
    open_window: Callable[[Running], Window], server: Running
) -> None:
    one, other = open_window(server), open_window(server)
    one.page.get_by_label(KEEP).check()
    expect(other.page.get_by_label(KEEP)).to_be_checked()
    for window, text in [(one, "Red"), (other, "Blue"), (one, "Green")]:
        window.set("Longest answer", "8")
        window.page.get_by_role("button", name="New conversation").click()
        window.ask(text)

    one.page.reload()
    titles = one.page.locator("#conversation-list .choose")
    expect(titles).to_have_text(["Green", "Red", "Blue"])
    one.page.get_by_role("button", name="Remove “Blue”").click()
    one.page.get_by_role("button", name="Remove “Red”").click()
    one.page.get_by_role("button", name="Undo").click()
    other.page.reload()
    expect(other.page.locator("#conversation-list .choose")).to_have_text(["Green", "Red"])

    other.page.get_by_label(KEEP).uncheck()
    expect(one.page.get_by_label(KEEP)).not_to_be_checked()
    assert one.page.evaluate("localStorage.length") == 0


def test_what_has_come_of_an_answer_outlives_a_reload(window: Window, model: Model) -> None:
    window.page.get_by_label(KEEP).check()
    with gated(model) as gate:
        window.hold_to_text("one two three four five")
        window.say("Count.")
        gate.let(9)
        expect(window.messages.last.locator(".body")).to_contain_text("one two")
        window.page.reload()
        gate.open()

    expect(window.messages.last).to_contain_text("one two")


def test_what_a_page_can_not_read_it_leaves_as_it_is(window: Window) -> None:
    later = json.dumps({"kind": "aboard conversations", "version": 2, "conversations": []})
    keeps = "localStorage.getItem('aboard.conversations')"
    window.page.evaluate("(text) => localStorage.setItem('aboard.conversations', text)", later)
    window.page.reload()
    expect(window.notice).to_contain_text("What this browser keeps can't be read")
    window.set("Longest answer", "8")
    window.ask("Red")
    untouched = window.page.evaluate(keeps)

    window.page.get_by_label(KEEP).check()

    assert untouched == later
    assert "Red" in window.page.evaluate(keeps)


def test_nothing_is_kept_in_the_browser_until_the_user_asks(window: Window) -> None:
    page = window.page
    page.on("dialog", lambda dialog: dialog.accept())
    window.ask("Name a colour.")
    before = window.contents()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0

    page.get_by_label("Keep them in this browser").check()
    page.reload()
    expect(window.messages).to_have_count(2)
    assert window.contents() == before
    page.get_by_label("Keep them in this browser").uncheck()
    assert page.evaluate("localStorage.length") == 0


def test_empty_fields_show_what_the_server_takes(
    open_window: Callable[[Running], Window], model: Model
) -> None:
    drawn = Defaults(sampling={"temperature": 0.2, "max_tokens": 7, "seed": 3})
    more = served(model, "drawn", defaults=drawn)
    with running(model, more=[more]) as server:
        window = open_window(server)
        window.unfold("Parameters")
        page = window.page
        fields = [
            page.get_by_label(each, exact=True)
            for each in ("Temperature", "Longest answer", "Seed")
        ]
        told = {"tiny": ("1", "no limit"), "drawn": ("0.2", "7")}

        for name in ("tiny", "drawn", "tiny"):
            page.get_by_label("Model", exact=True).select_option(name)
            for field, text in zip(fields, (*told[name], "another each time"), strict=True):
                expect(field).to_have_attribute("placeholder", text)
