"""Commands with the fake engine, in a home of their own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import aboard
from aboard.cli.app import app
from cli.fake import FakeModel


@pytest.fixture(scope="module")
def user_home() -> str:
    """The user's own ABOARD_HOME, so that the model is fetched once and then found."""
    return os.environ.get("ABOARD_HOME", "")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("ABOARD_HOME", str(folder))
    monkeypatch.delenv("ABOARD_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def model_file(tmp_path: Path) -> str:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return str(path)


@pytest.fixture
def model(model_file: str, monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What `aboard.load` gives for every path."""
    fake = FakeModel()

    def load(path: Path, **options: object) -> FakeModel:
        fake.loaded_with = {"path": path, **options}
        return fake

    monkeypatch.setattr(aboard, "load", load, raising=False)
    return fake


@pytest.fixture
def call() -> Callable[..., object]:
    """Call a command: `call("run", "model.gguf", stdin="...")`."""
    runner = CliRunner()

    def invoke(
        *arguments: str, stdin: str | bytes | None = None, width: int | None = None
    ) -> object:
        return runner.invoke(
            app, list(arguments), input=stdin, prog_name="aboard", terminal_width=width
        )

    return invoke
