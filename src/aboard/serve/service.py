"""What the routes share: the models, the limits, and the state of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from aboard.serve.bodies import Bodies
from aboard.serve.metrics import Metrics
from aboard.serve.responses.kept import KeptResponses
from aboard.serve.wakeups import Wakeups

if TYPE_CHECKING:
    from aboard.serve.limits import Limits
    from aboard.serve.served import ServedModels

P = ParamSpec("P")
Result = TypeVar("Result")


class Service:
    """A server's state; one for each application, from its start to its end.

    Parameters
    ----------
    models : ServedModels
    limits : Limits
    day : date, optional
        What chat templates tell the model, where they tell it; by default the day it is.

    Attributes
    ----------
    bodies : Bodies
        Where bodies of requests are read.
    metrics : Metrics
        What is counted and timed.
    responses : KeptResponses
        What `/v1/responses` keeps.
    ending : bool
        Whether the server was told to end: it takes on nothing any more.
    """

    def __init__(self, models: ServedModels, limits: Limits, *, day: date | None = None) -> None:
        self.models = models
        self.limits = limits
        self.bodies = Bodies(limits)
        self.metrics = Metrics(models)
        self.responses = KeptResponses(limits)
        self.ending = False
        self._day = day
        self._wakeups: Wakeups | None = None
        self._aside = ThreadPoolExecutor(2, "aboard-serve")

    @property
    def day(self) -> date:
        """The day that chat templates tell the model."""
        return self._day or date.today()

    @property
    def wakeups(self) -> Wakeups:
        """Of the event loop that serves."""
        if self._wakeups is None:
            self._wakeups = Wakeups()
        return self._wakeups

    async def aside(
        self, function: Callable[P, Result], *arguments: P.args, **options: P.kwargs
    ) -> Result:
        """Call a function that takes time, while the event loop serves others."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, lambda: function(*arguments, **options))

    def start(self) -> None:
        """Begin to serve."""
        self.models.start(self.limits)

    def close(self) -> None:
        """Cancel what is under way."""
        self.ending = True
        self.models.close()
        self._aside.shutdown(wait=False, cancel_futures=True)
