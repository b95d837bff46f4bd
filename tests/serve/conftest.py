"""A server on the loopback, with a tiny model whose tokens are bytes."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from aboard.engine import Model, load
from aboard.serve.keeping.kept import Kept
from serve.running import Running, running
from tiny import tiny_llama

CONTEXT = 512


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # of this seed, greedy answers to the prompts of these tests are 40 bytes and no control token
    return tiny_llama(tmp_path_factory.mktemp("served") / "tiny.gguf", fmt="Q8_0", seed=4)


@pytest.fixture(scope="session")
def model(model_file: Path) -> Model:
    """The served model, for what it answers alone."""
    return load(model_file, threads=1, context=CONTEXT)


@pytest.fixture(scope="module")
def server(model: Model) -> Iterator[Running]:
    with running(model, aliases=("gpt-4o-mini",)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with server.openai() as client:
        yield client


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / "data") as kept:
        yield kept


@pytest.fixture
def keeping(model: Model, kept: Kept) -> Iterator[Running]:
    """A server that keeps files and batches."""
    with running(model, kept=kept) as server:
        yield server


@pytest.fixture
def keeper(keeping: Running) -> Iterator[openai.OpenAI]:
    with keeping.openai() as client:
        yield client
