"""The demo model, for all tests that need it."""

from pathlib import Path

import pytest

from aboard.store import pull


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The demo model's file in the user's own store, brought there if it isn't."""
    return pull("smollm2-135m")
