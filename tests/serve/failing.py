"""Engines that fail."""


def failing(error: Exception, after: int = 0):
    """A forward pass that fails after some that don't."""

    class Failing:
        def __init__(self, real: object) -> None:
            self._real, self._left = real, after

        def forward(self, *arguments: object) -> object:
            if self._left == 0:
                raise error
            self._left -= 1
            return self._real.forward(*arguments)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    return Failing
