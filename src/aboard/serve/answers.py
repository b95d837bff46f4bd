"""Answers under way, as the event loop sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aboard.closing import Closing
from aboard.errors import AboardError
from aboard.serve.refusals import ending, refusal_of, too_late

if TYPE_CHECKING:
    from aboard.engine import Request, Sampling, Step
    from aboard.serve.served import ServedModel
    from aboard.serve.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the scheduler is asked for: one answer to one prompt."""

    prompt: Sequence[int]
    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...] = ()
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What is new of one answer."""

    index: int
    steps: list[Step]
    finish_reason: str | None
    """ "stop" or "length" with the last steps."""


class Answers(Closing):
    """The answers that one HTTP request asks for, computed together.

    Raises
    ------
    Refusal
        They can't be computed, or too many wait already; none of them is then.
    """

    def __init__(
        self, service: Service, served: ServedModel, asks: Sequence[Ask], *, owner: str
    ) -> None:
        self._timeout_s = service.limits.answer_timeout_s
        self._news = asyncio.Event()
        self.requests: list[Request] = []
        if service.ending:
            raise ending()
        wakeups = service.wakeups
        try:
            for ask in asks:
                request = served.scheduler.submit(
                    ask.prompt,
                    sampling=ask.sampling,
                    max_tokens=ask.max_tokens,
                    stop=ask.stop,
                    logprobs=ask.logprobs,
                    timeout_s=self._timeout_s,
                    on_change=lambda: wakeups.set(self._news),
                )
                self.requests.append(request)
        except AboardError as error:
            self.close()
            raise refusal_of(error) from None

    @property
    def n_prompt(self) -> int:
        """Tokens of all prompts, each once."""
        return self.requests[0].n_prompt

    def close(self) -> None:
        """Cancel what is still under way."""
        for request in self.requests:
            request.cancel()

    async def news(self) -> AsyncIterator[News]:
        """What comes, as it comes, until all answers are complete.

        Raises
        ------
        Refusal
            One of them can't be completed.
        """
        left = dict(enumerate(self.requests))
        while left:
            await self._news.wait()
            self._news.clear()
            for index, request in list(left.items()):
                try:
                    steps, ended = request.taken()
                except AboardError as error:
                    raise refusal_of(error) from None
                if ended:
                    del left[index]
                if steps or ended:
                    yield News(index, steps, self._reason(request) if ended else None)

    def _reason(self, request: Request) -> str | None:
        match request.finish_reason:
            case "timeout":
                raise too_late(self._timeout_s)
            case "cancelled":
                raise ending()
            case reason:
                return reason
