"""A server in a thread of the test's own process."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai

from aboard.engine import Model
from aboard.serve.app import App
from aboard.serve.defaults import Defaults
from aboard.serve.limits import Limits
from aboard.serve.listening import Server
from aboard.serve.served import Served, ServedModel, ServedModels, served
from waiting import SECONDS

NAME = "tiny"


@dataclass(frozen=True)
class Running:
    """A server that listens at `url`."""

    url: str
    app: App
    server: Server

    @property
    def served(self) -> ServedModel:
        first = self.app.service.models.first
        assert isinstance(first, ServedModel)
        return first

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def openai(self, **options: Any) -> openai.OpenAI:
        options = {"api_key": "none", "max_retries": 0, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", **options)

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        options = {"api_key": "none", "max_retries": 0, **options}
        return anthropic.Anthropic(base_url=self.url, **options)

    def http(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60, **options)


@contextmanager
def running(
    model: Model,
    *,
    limits: Limits | None = None,
    name: str = NAME,
    aliases: tuple[str, ...] = (),
    more: Sequence[Served] = (),
    tls: Any = None,
    defaults: Defaults | None = None,
    **options: Any,
) -> Iterator[Running]:
    """A server of a model, and of `more`, until the block ends; `options` are those of `App`."""
    app = App(ServedModels([served(model, name, aliases, defaults), *more]), limits, **options)
    listens = threading.Event()
    urls: list[str] = []

    def ready(url: str) -> None:
        urls.append(url)
        listens.set()

    server = Server(app, "127.0.0.1", 0, tls=tls, ready=ready)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert listens.wait(SECONDS)
    try:
        yield Running(urls[0], app, server)
    finally:
        server.should_exit = True
        thread.join()
