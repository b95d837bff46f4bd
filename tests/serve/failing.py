"""Engines that fail."""

import threading


def failing(error: Exception, after: int = 0, *, once: threading.Event | None = None):
    """A forward pass that fails after some that don't, and `once` an event is set."""

    class Failing:
        def __init__(self, real: object) -> None:
            self._real, self._left = real, after

        def forward(self, *arguments: object) -> object:
            if self._left == 0:
                if once is not None:
                    once.wait()
                raise error
            self._left -= 1
            return self._real.forward(*arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    return Failing
