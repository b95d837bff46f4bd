"""Texts of several requests become vectors together, in one thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.closing import Closing
from aboard.engine.scheduler_batch import Load
from aboard.errors import Overloaded
from aboard.serve.refusals import ending

if TYPE_CHECKING:
    from aboard.engine.embedding import EmbeddingModel

Float32 = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int32]

# Tokens of a pass: what is as fast as more, and soon over for whoever waits.
_PASS_TOKENS = 2048


@dataclass(slots=True, eq=False)
class _Job:
    """The texts of a request, and the vectors of those that are done."""

    texts: Sequence[Tokens]
    background: bool
    complete: asyncio.Future[None]
    vectors: list[Float32] = field(default_factory=list)
    n_taken: int = 0


class Encoding(Closing):
    """Computes the vectors of all requests, some texts of each in turn; for one event loop.

    A vector depends on its text alone. A request that is cancelled is computed no further than the
    pass under way.

    Parameters
    ----------
    model : EmbeddingModel
    max_waiting : int
        Requests beyond the one under way; those in the background don't count.
    """

    def __init__(self, model: EmbeddingModel, *, max_waiting: int) -> None:
        self._model = model
        self._most = max_waiting + 1
        self._jobs: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._work: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "aboard-encode")
        self._closed = False

    @property
    def load(self) -> Load:
        """How many requests are being computed, and how many wait."""
        n_running = len(self._running)
        return Load(n_running, len(self._jobs) - n_running)

    async def vectors(self, texts: Sequence[Tokens], *, background: bool = False) -> Float32:
        """The vectors of at least one text, (len(texts), D).

        Parameters
        ----------
        texts : sequence of (T,) int32
            Checked token ids, each text of at least one and at most as many as the model takes.
        background : bool
            Let all others go first.

        Raises
        ------
        AboardError
            They can't be computed, or too many requests wait.
        Refusal
            The server is ending.
        """
        if self._closed:
            raise ending()
        n_others = sum(not each.background for each in self._jobs)
        if not background and n_others >= self._most:
            raise Overloaded(
                f"{n_others} requests for vectors are under way or wait, expected at most "
                f"{self._most}",
                hint="Ask again a little later.",
            )
        job = _Job(texts, background, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._work is None:
            self._work = asyncio.create_task(self._compute())
        try:
            await job.complete
        finally:
            self._jobs.remove(job)
        return np.concatenate(job.vectors)

    def close(self) -> None:
        """End what is under way."""
        self._closed = True
        for job in self._jobs:
            if not job.complete.done():
                job.complete.set_exception(ending())
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _compute(self) -> None:
        """Compute until nothing is left to do."""
        loop = asyncio.get_running_loop()
        try:
            while not self._closed and (taken := self._next_pass()):
                self._running = list(dict.fromkeys(job for job, _ in taken))
                texts = [text for _, text in taken]
                try:
                    rows = await loop.run_in_executor(self._thread, self._model.embed_tokens, texts)
                except Exception as error:
                    self._fail(error)
                else:
                    self._hand_out([job for job, _ in taken], rows)
        finally:
            self._running = []
            self._work = None

    def _next_pass(self) -> list[tuple[_Job, Tokens]]:
        """Texts to compute together: one of each request in turn, and again."""
        taken: list[tuple[_Job, Tokens]] = []
        n_tokens = 0
        for background in (False, True):
            jobs = [each for each in self._jobs if each.background is background]
            while jobs := [each for each in jobs if _wanted(each)]:
                for job in jobs:
                    text = job.texts[job.n_taken]
                    if taken and n_tokens + text.size > _PASS_TOKENS:
                        self._jobs.rotate(-1)  # so that another is first the next time
                        return taken
                    taken.append((job, text))
                    n_tokens += text.size
                    job.n_taken += 1
            if taken:
                break
        return taken

    def _hand_out(self, jobs: Sequence[_Job], rows: Float32) -> None:
        for job, row in zip(jobs, rows, strict=True):
            job.vectors.append(row[None])
        for job in self._running:
            if len(job.vectors) == len(job.texts) and not job.complete.done():
                job.complete.set_result(None)

    def _fail(self, error: Exception) -> None:
        for job in self._running:
            if not job.complete.done():
                job.complete.set_exception(error)


def _wanted(job: _Job) -> bool:
    return job.n_taken < len(job.texts) and not job.complete.done()
