"""A window of the browser on a server's page, with words for what a user does there."""

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Download, Locator, Request, expect

from serve.running import Running

WAIT_MS = 10_000
_LISTEN = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


class Window:
    """The page of a server, loaded.

    `close` fails where the page asked anyone but its server for anything, broke its policy, or
    left an error.
    """

    def __init__(self, context: BrowserContext, server: Running) -> None:
        self.server = server
        self.page = context.new_page()
        self.page.add_init_script(_LISTEN)
        self.page.set_default_timeout(WAIT_MS)
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.expected: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(server.url)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def close(self) -> None:
        self.page.evaluate("localStorage.clear(); dispatchEvent(new StorageEvent('storage'))")
        self.page.close()
        asked = {each.url for each in self.requests if not each.url.startswith("blob:")}
        assert asked, "the page was never loaded"
        assert all(each.startswith(f"{self.server.url}/") for each in asked), asked
        surprises = [each for each in self.errors if not any(x in each for x in self.expected)]
        assert surprises == []

    def expect_error(self, part: str) -> None:
        """What the browser itself says of a refused request is no surprise."""
        self.expected.append(part)

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("article")

    @property
    def notice(self) -> Locator:
        return self.page.get_by_role("status")

    def ask(self, text: str) -> Locator:
        """The message that answers this one, once it is complete."""
        before = self.messages.count()
        self.say(text)
        return self.answered(before + 2)

    def say(self, text: str) -> None:
        self.message.fill(text)
        self.message.press("Enter")

    def answered(self, n_messages: int) -> Locator:
        """The last of so many messages, once nothing is under way."""
        expect(self.messages).to_have_count(n_messages)
        answer = self.messages.last
        expect(answer.get_by_role("button", name="Delete")).to_be_attached()
        return answer

    def set(self, label: str, value: str) -> None:
        self.unfold("Parameters")
        self.page.get_by_label(label, exact=True).fill(value)

    def unfold(self, section: str) -> Locator:
        """A section of the settings, open."""
        part = self.page.locator("#settings > details").filter(
            has=self.page.locator("summary", has_text=re.compile(f"^{section}$"))
        )
        if part.get_attribute("open") is None:
            part.locator("summary").click()
        return part

    def hold_to(self, form: str, definition: str | None = None) -> None:
        """Have answers held to a form."""
        part = self.unfold("Form of the answer")
        part.get_by_label("Answers are").select_option(label=form)
        if definition is not None:
            part.locator("textarea:visible").fill(definition)

    def hold_to_text(self, text: str) -> None:
        """Have the model say just this."""
        plain = re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", text).replace("\n", r"\n")
        self.hold_to("what a regular expression matches", plain)

    def copied(self) -> str:
        return self.page.evaluate("navigator.clipboard.readText()")

    def press_copy(self, message: Locator, label: str) -> str:
        """What a button of a message copies."""
        self.page.evaluate("navigator.clipboard.writeText('nothing')")
        if message.locator("details").get_attribute("open") is None:
            message.locator("summary").click()
        message.get_by_role("button", name=label, exact=True).click()
        self.page.wait_for_function(
            "navigator.clipboard.readText().then((text) => text !== 'nothing')"
        )
        return self.copied()

    def exported(self) -> list[dict[str, Any]]:
        """The conversations as they are exported."""
        with self.page.expect_download() as begun:
            self.page.get_by_role("button", name="Export").click()
        download: Download = begun.value
        return json.loads(Path(download.path()).read_text("utf-8"))["conversations"]

    def contents(self) -> list[str]:
        """The texts of the current conversation, to the letter."""
        found = self.exported()
        return [each["content"] for each in found[0]["messages"]] if found else []
