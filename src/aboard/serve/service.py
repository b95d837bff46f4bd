"""What the routes share: the models, the limits, and the state of the server."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from aboard.serve.aside import Aside
from aboard.serve.bodies import Bodies
from aboard.serve.metrics import Metrics
from aboard.serve.refusals import Refusal
from aboard.serve.responses.kept import KeptResponses
from aboard.serve.wakeups import Wakeups

if TYPE_CHECKING:
    from aboard.serve.batch_running import BatchRunner
    from aboard.serve.keeping.kept import Kept
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
    kept : Kept, optional
        Where files and batches are kept.

    Attributes
    ----------
    bodies : Bodies
        Where bodies of requests are read.
    metrics : Metrics
        What is counted and timed.
    aside : Aside
        Where functions are called that take time, while the event loop serves others.
    responses : KeptResponses
        What `/v1/responses` keeps.
    ending : bool
        Whether the server was told to end: it takes on nothing any more.
    hurried : bool
        Whether it was told twice: it waits for nothing any more.
    """

    def __init__(
        self,
        models: ServedModels,
        limits: Limits,
        *,
        day: date | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.models = models
        self.limits = limits
        self.bodies = Bodies(limits)
        self.metrics = Metrics(models)
        self.responses = KeptResponses(limits)
        self.ending = self.hurried = False
        self._batches: BatchRunner | None = None
        self._day = day
        self._kept = kept
        self._wakeups: Wakeups | None = None
        self.aside = Aside(2, "aboard-serve")

    @property
    def day(self) -> date:
        """The day that chat templates tell the model."""
        return self._day or date.today()

    @property
    def keeps(self) -> bool:
        """Whether files and batches are kept."""
        return self._kept is not None

    @property
    def kept(self) -> Kept:
        """Where files and batches are kept.

        Raises
        ------
        Refusal
            They are not.
        """
        if self._kept is None:
            raise Refusal(
                404,
                "this server keeps no files and no batches: start it with `--data FOLDER`, or with "
                "ABOARD_DATA, for a folder of its own to keep them in",
                code="nothing_is_kept",
            )
        return self._kept

    @property
    def batches(self) -> BatchRunner:
        """What answers batches, while the server serves.

        Raises
        ------
        Refusal
            None are kept.
        """
        assert self.kept
        assert self._batches is not None
        return self._batches

    @property
    def wakeups(self) -> Wakeups:
        """Of the event loop that serves."""
        if self._wakeups is None:
            self._wakeups = Wakeups()
        return self._wakeups

    def start(self, batches: BatchRunner | None = None) -> None:
        """Begin to serve; to answer `batches`, too, where they are kept."""
        self.models.start(self.limits)
        self._batches = batches
        if batches is not None:
            batches.start()

    async def drain(self) -> None:
        """Take on nothing more, and wait for the lines of batches that are under way."""
        self.ending = True
        if self._batches is not None:
            await self._batches.drain()

    def close(self) -> None:
        """Cancel what is under way."""
        self.ending = True
        self.models.close()
        self.aside.close()
