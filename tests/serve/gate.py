"""Engines that compute as many steps as the test lets them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aboard.engine import Model
from waiting import SECONDS


class Gate:
    """A model's decoder, of which each forward pass needs leave."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._leave = threading.Semaphore(0)
        self._free = False
        self._asked = threading.Condition()
        self._n_asked = 0
        self.n_passes = 0

    def let(self, n_passes: int) -> None:
        """Allow so many more passes."""
        for _ in range(n_passes):
            self._leave.release()

    def step(self) -> None:
        """Allow one more pass, where more will follow, and wait until the next is asked for."""
        with self._asked:
            self._asked.wait_for(lambda: self._n_asked > self.n_passes)
            n_asked = self._n_asked
        self.let(1)
        self.wait(n_asked + 1)

    def open(self) -> None:
        """Allow all that come."""
        self._free = True
        self._leave.release()

    def wait(self, n_passes: int) -> None:
        """Until the scheduler has asked for so many passes."""
        with self._asked:
            assert self._asked.wait_for(lambda: self._n_asked >= n_passes, SECONDS)

    def forward(self, *arguments: Any) -> Any:
        with self._asked:
            self._n_asked += 1
            self._asked.notify_all()
        if not self._free:
            self._leave.acquire()
        self.n_passes += 1
        return self._real.forward(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextmanager
def gated(model: Model) -> Iterator[Gate]:
    """The model's decoder behind a gate, which is open in the end."""
    gate = Gate(model.decoder)
    model.decoder = gate
    try:
        yield gate
    finally:
        gate.open()
        model.decoder = gate._real
