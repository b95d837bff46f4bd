"""Waiting for what another thread does, but not for ever."""

import os
import time
from collections.abc import Callable

SECONDS = 120.0
"""Whatever a test waits for is there by then, however busy the machine is, or never comes."""


def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so after {SECONDS:g} s"
        os.sched_yield()
