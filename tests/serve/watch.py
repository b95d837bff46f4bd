"""What the server logs, and waiting for it."""

import logging
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waiting import SECONDS


class Watch(logging.Handler):
    """Collects the facts of requests that are over."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self._facts.put(record.facts)  # type: ignore[attr-defined]

    def next(self) -> dict[str, Any]:
        """The facts of the next request that is over."""
        return self._facts.get(timeout=SECONDS)


@contextmanager
def watched() -> Iterator[Watch]:
    """What the server logs of requests within the block."""
    logger, watch = logging.getLogger("aboard.serve.access"), Watch()
    before = logger.level
    logger.addHandler(watch)
    logger.setLevel(logging.INFO)
    try:
        yield watch
    finally:
        logger.removeHandler(watch)
        logger.setLevel(before)
