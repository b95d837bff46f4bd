"""The demo model, and what every test may rely on."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aboard.store import pull


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo model's file in the user's own store, brought there if it isn't."""
    return pull("smollm2-135m")


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, though a shell starts programs behind & without that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
