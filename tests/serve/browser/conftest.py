"""Debian's Chromium, without a screen, on a server of the tiny model. Nothing may be fetched."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Playwright, sync_playwright

from serve.browser.window import Window
from serve.running import Running

PROGRAM = "chromium"


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def context(playwright: Playwright) -> Iterator[BrowserContext]:
    """A browser that keeps what it has loaded; each window is a tab of its own."""
    program = shutil.which(PROGRAM)
    assert program, f"there is no {PROGRAM}: apt-get install {PROGRAM}"
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses root
    browser = playwright.chromium.launch(executable_path=program, args=root)
    yield browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    browser.close()


@pytest.fixture
def open_window(context: BrowserContext) -> Iterator[Callable[[Running], Window]]:
    """Opens windows; in the end each must have kept to its server and its policy."""
    windows: list[Window] = []

    def open_window(server: Running) -> Window:
        windows.append(Window(context, server))
        return windows[-1]

    yield open_window
    for window in windows:
        window.close()


@pytest.fixture
def window(open_window: Callable[[Running], Window], server: Running) -> Window:
    """A window on the server, whose answers are greedy and of 40 tokens at most."""
    window = open_window(server)
    window.set("Temperature", "0")
    window.set("Longest answer", "40")
    return window
