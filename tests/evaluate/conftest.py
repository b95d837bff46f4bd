"""Two tiny models, a text and questions to evaluate; a cache folder of one's own."""

import json
from pathlib import Path

import pytest

from evaluate.sample import TEXT
from tiny_mixed import mixed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "aboard" / "evaluate"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return mixed(tmp_path / "reference.gguf", 0.0)


@pytest.fixture
def near(tmp_path: Path) -> Path:
    return mixed(tmp_path / "near.gguf", 0.1)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    records = [
        {"prompt": f"{i} and {i + 1}", "choices": [str(i + 2), "nothing", "x"], "answer": i % 3}
        for i in range(12)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path
