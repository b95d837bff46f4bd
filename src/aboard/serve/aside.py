"""Functions that take time are called in other threads, while the event loop serves others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from aboard.closing import Closing

P = ParamSpec("P")
Result = TypeVar("Result")


class Aside(Closing):
    """A few threads, and a call that goes to one of them.

    Parameters
    ----------
    n_threads : int
    name : str
        What their names begin with.
    """

    def __init__(self, n_threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(n_threads, name)

    async def __call__(
        self, function: Callable[P, Result], *arguments: P.args, **options: P.kwargs
    ) -> Result:
        """What `function` gives; it goes on to its end where the caller is cancelled."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*arguments, **options))

    def close(self, *, wait: bool = False) -> None:
        """Begin no more calls; `wait`: until those under way have ended."""
        self._threads.shutdown(wait=wait, cancel_futures=True)
