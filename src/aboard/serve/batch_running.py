"""Batches are answered while the server serves, each line as if it had been asked for live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aboard.errors import AboardError
from aboard.serve.batch_bodies import BatchLine
from aboard.serve.batch_calls import Reply, batched, call, seeded
from aboard.serve.batch_lines import LineCheck, read_lines
from aboard.serve.batch_results import answer_of, finish
from aboard.serve.body import understood
from aboard.serve.keeping.batches import UNDER_WAY
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.endpoint import Endpoint
    from aboard.serve.keeping.batches import KeptBatch, LineAnswer
    from aboard.serve.keeping.kept import Kept
    from aboard.serve.service import Service

_log = logging.getLogger(__name__)

_LOOK_S = 60.0  # after which batches that could not go on are tried again, and files expire
_AGAIN_S = 1.0  # after which a line is asked for again that the server had no room for
_NO_ROOM = (429, 503, 529)


class _Ending(Exception):
    """The server ends; what is not answered will be by the next."""


class _Waiting(Exception):
    """A batch can't go on here and now."""


class BatchRunner:
    """Has batches checked and answered, several lines at once; for one event loop.

    Lines take up to half of the places that a model has, so that live requests find one; where
    they don't, they go first. Batches take turns line by line. What was answered is on the disk,
    and a server that begins goes on where the last one ended, in whatever way it did.

    Parameters
    ----------
    service : Service
        One that keeps things.
    endpoints : sequence of Endpoint
        All routes.

    Attributes
    ----------
    endpoints : dict of str to Endpoint
        Those that a batch may ask, by their paths.
    """

    def __init__(self, service: Service, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = batched(endpoints)
        self._service = service
        self._kept: Kept = service.kept
        self._news = asyncio.Event()
        self._stops: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(max(1, service.limits.max_sequences // 2))
        self._checking = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what the last server left."""
        self._work = asyncio.create_task(self._run())

    def tell(self) -> None:
        """There is a new batch, or one is to be cancelled."""
        self._news.set()

    async def drain(self) -> None:
        """Take on no further line and wait for those under way; the service is ending."""
        if self._work is None:
            return
        self._news.set()
        await self._work
        while self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=0.1)
            if self._service.hurried:
                for task in self._tasks.values():
                    task.cancel()

    async def _run(self) -> None:
        while not self._service.ending:
            self._news.clear()
            try:
                await self._look()
            except Exception as error:
                _log.error("batches can't be looked at", exc_info=error)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Begin what there is to do; end what has expired or was cancelled."""
        await self._kept.aside(self._kept.files.purge)
        for batch in await self._kept.aside(self._kept.batches.under_way):
            id = batch.id
            if id not in self._tasks:
                self._stops[id] = asyncio.Event()
                self._tasks[id] = asyncio.create_task(self._go_on(id))
            if batch.status == "cancelling" or self._kept.now() >= batch.expires_at:
                self._stops[id].set()

    async def _go_on(self, id: str) -> None:
        """Bring a batch as far as it can be."""
        try:
            await self._check(id)
            await self._answer(id)
        except (_Ending, _Waiting):
            pass
        except Exception as error:  # it is tried again, until it expires
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            facts = {"batch": id}
            if isinstance(cause, AboardError):  # whose words are ours, such as of a full disk
                facts["reason"] = str(cause)
            _log.error("a batch can't go on", exc_info=cause, extra={"facts": facts})
        finally:
            del self._tasks[id], self._stops[id]

    async def _check(self, id: str) -> None:
        kept, stop = self._kept, self._stops[id]
        async with self._checking:
            batch = await kept.aside(kept.batches.current, id)
            if batch.status != "validating" or stop.is_set():
                return
            service = self._service
            check = LineCheck(
                batch.endpoint,
                max_lines=kept.quotas.max_lines,
                max_bytes=service.limits.max_body_bytes,
                model=service.models.of_any_kind,
            )
            assert batch.blob is not None
            found = await kept.aside(
                check.check,
                kept.blobs,
                batch.blob,
                lambda: stop.is_set() or service.ending,
            )
            if found is None:
                if service.ending:
                    raise _Ending
            elif found.errors:
                await kept.aside(kept.batches.fail, id, found.errors)
                await kept.aside(kept.files.forget, batch.blob)
            else:
                await kept.aside(kept.batches.begin, id, total=found.total, model=found.model)

    async def _answer(self, id: str) -> None:
        kept, stop = self._kept, self._stops[id]
        batch = await kept.aside(kept.batches.current, id)
        if batch.status not in UNDER_WAY:
            return
        if batch.status == "in_progress" and not stop.is_set():
            self._require_model(batch)
            try:
                await _unless(stop, _Answering(self, batch).all())
            except* FileNotFoundError as error:  # somebody took it away: what was answered is left
                _log.error("the lines of a batch are gone", exc_info=error)
        await kept.aside(kept.batches.finalize, id)
        batch = await kept.aside(kept.batches.current, id)
        await kept.aside(finish, kept, batch, self._service.limits.max_body_bytes)

    def _require_model(self, batch: KeptBatch) -> None:
        """A server that was started with other models has to leave a batch to one that has its own.

        Raises
        ------
        _Waiting
            The model that it asks isn't served.
        """
        try:
            self._service.models.of_any_kind(batch.model or "")
        except Refusal:
            _log.warning(
                "a batch waits for its model",
                extra={"facts": {"batch": batch.id, "model": batch.model}},
            )
            raise _Waiting from None

    async def reply(self, batch: KeptBatch, line: int, asked: BatchLine) -> Reply:
        """What a line is answered; where there is no room for it, later.

        Raises
        ------
        _Ending
            The server ends before.
        """
        endpoint = self.endpoints[batch.endpoint]
        assert endpoint.takes is not None
        body = seeded(asked.body, endpoint.takes, batch.id, line)
        while True:
            if self._service.ending:
                raise _Ending
            reply = await call(endpoint, self._service, body, batch.owner)
            if reply.status not in _NO_ROOM:
                self._service.metrics.count_line(reply.noted)
                return reply
            if not self._service.ending:
                await asyncio.sleep(_AGAIN_S)

    @property
    def busy(self) -> bool:
        """Whether a batch is being checked or answered."""
        return bool(self._tasks)

    @property
    def places(self) -> asyncio.Semaphore:
        """Of lines that are being answered, of all batches."""
        return self._places

    @property
    def service(self) -> Service:
        """What answers."""
        return self._service


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do some work to its end, or until it is to stop."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if not task.cancelled():
        task.result()


class _Answering:
    """The lines of a batch being answered."""

    def __init__(self, runner: BatchRunner, batch: KeptBatch) -> None:
        self._runner = runner
        self._batch = batch
        self._kept = runner.service.kept
        self._unwritten: list[LineAnswer] = []
        self._writing = asyncio.Lock()
        self._ended_early = False

    async def all(self) -> None:
        """Answer what has no answer yet; what was answered is kept, however this ends.

        Raises
        ------
        _Ending
            The server ends before.
        StorageFull
            There is no room for the answers.
        """
        lines = await self._left()
        try:
            async with asyncio.TaskGroup() as group:
                while line := await self._next(lines):
                    group.create_task(self._line(*line))
        finally:
            await self._write()
        if self._ended_early:
            raise _Ending

    async def _next(self, lines: Iterator[tuple[int, bytes]]) -> tuple[int, bytes] | None:
        """The next line, once there is a place for it; None where there is none to be answered."""
        places = self._runner.places
        await places.acquire()
        line = None
        try:
            if self._runner.service.ending:
                self._ended_early = True
            else:
                line = await self._kept.aside(next, lines, None)
        finally:
            if line is None:
                places.release()
        return line

    async def _left(self) -> Iterator[tuple[int, bytes]]:
        batch, kept = self._batch, self._kept
        assert batch.blob is not None
        answered = await kept.aside(kept.batches.answered, batch.number)
        lines = read_lines(kept.blobs.path(batch.blob), self._runner.service.limits.max_body_bytes)
        return (line for line in lines if line[0] not in answered)

    async def _line(self, number: int, data: bytes) -> None:
        try:
            asked = understood(BatchLine, data)
            reply = await self._runner.reply(self._batch, number, asked)
            self._unwritten.append(answer_of(self._batch, number, asked.custom_id, reply))
            await self._write()
        except _Ending:
            self._ended_early = True
        finally:
            self._runner.places.release()

    async def _write(self) -> None:
        """Keep all answers that there are; those that come meanwhile go together."""
        async with self._writing:
            answers, self._unwritten = self._unwritten, []
            if not answers:
                return
            kept = self._kept
            writing = asyncio.ensure_future(
                kept.aside(kept.batches.answer, self._batch.number, answers)
            )
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})  # it goes on: nothing may be done behind its back
                writing.exception()  # whatever it is, what cancelled this tells of it
                raise
