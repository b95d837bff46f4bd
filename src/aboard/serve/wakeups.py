"""From the thread that computes to the event loop: one wake-up a step, for however many answers."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Wakeups:
    """Sets events of an event loop from other threads.

    A step of the scheduler has news for all answers under way. To wake the loop takes a system
    call, so it is woken once for all events that are set until it has come round.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._news: list[asyncio.Event] = []

    def set(self, event: asyncio.Event) -> None:
        """Have `event` set soon; from any thread."""
        with self._lock:
            first = not self._news
            self._news.append(event)
        if first:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            news, self._news = self._news, []
        for event in news:
            event.set()
