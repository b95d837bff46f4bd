"""What the routes share: the models, the limits, and the state of the server."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from aboard.serve.aside import Aside
from aboard.serve.bodies import Bodies
from aboard.serve.metrics import Metrics
from aboard.serve.wakeups import Wakeups

if TYPE_CHECKING:
    from aboard.serve.limits import Limits
    from aboard.serve.served import ServedModels


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
    aside : Aside
        Where functions are called that take time, while the event loop serves others.
    ending : bool
        Whether the server was told to end: it takes on nothing any more.
    """

    def __init__(self, models: ServedModels, limits: Limits, *, day: date | None = None) -> None:
        self.models = models
        self.limits = limits
        self.bodies = Bodies(limits)
        self.metrics = Metrics(models)
        self.ending = False
        self._day = day
        self._wakeups: Wakeups | None = None
        self.aside = Aside(2, "aboard-serve")

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

    def start(self) -> None:
        """Begin to serve."""
        self.models.start(self.limits)

    def close(self) -> None:
        """Cancel what is under way."""
        self.ending = True
        self.models.close()
        self.aside.close()
