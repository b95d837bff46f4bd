"""Answers under way, as the event loop sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aboard.closing import Closing
from aboard.engine.replying import new_call_id
from aboard.errors import AboardError
from aboard.serve.given import Finish, PromptDetails, Usage
from aboard.serve.news import ArgumentsDelta, CallBegun, End, News, TextDelta, Whole
from aboard.serve.refusals import ending, refusal_of, too_late
from aboard.serve.spoken import Spoken
from aboard.tool_calls import Begun

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain import Grammar
    from aboard.engine import Request, Sampling, Step
    from aboard.serve.endpoint import Call
    from aboard.serve.served import ServedModel
    from aboard.tool_calls import CallReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the scheduler is asked for: one answer to one prompt."""

    prompt: Sequence[int]
    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    prompt_logprobs: int | None = None
    constraint: Grammar | None = None
    reader: Callable[[], CallReader] | None = None


class Answers(Closing):
    """The answers that one HTTP request asks for, computed together.

    Parameters
    ----------
    call : Call
        The request.
    served : ServedModel
        What answers.
    asks : sequence of Ask
        At least one, and no more than `require_few` lets through.
    per_prompt : int
        How many of them in a row share a prompt.
    owner : str
        Who asks, of those who share a key or an address.

    Raises
    ------
    Refusal
        They can't be computed, or too many wait already; none of them is then.
    """

    def __init__(
        self,
        call: Call[Any],
        served: ServedModel,
        asks: Sequence[Ask],
        *,
        per_prompt: int,
        owner: str,
    ) -> None:
        limits = call.service.limits
        self._owner = (call.noted.owner, owner)
        self._background = call.noted.background
        self._tokenizer = served.model.tokenizer
        self._timeout_s = limits.answer_timeout_s
        self._per_prompt = per_prompt
        self._asks = asks
        self._news = asyncio.Event()
        self._noted = call.noted
        self._noted.model = served.name
        self.requests: list[Request] = []
        if call.service.ending:
            raise ending()
        try:
            for ask in asks:
                self.requests.append(self._submitted(call, served, ask))
        except AboardError as error:
            self.close()
            raise refusal_of(error) from None

    def _submitted(self, call: Call[Any], served: ServedModel, ask: Ask) -> Request:
        wakeups = call.service.wakeups
        return served.scheduler.submit(
            ask.prompt,
            sampling=ask.sampling,
            max_tokens=ask.max_tokens,
            stop=ask.stop,
            logprobs=ask.top_logprobs is not None,
            top_logprobs=ask.top_logprobs or 0,
            prompt_logprobs=ask.prompt_logprobs,
            constraint=ask.constraint,
            owner=self._owner,
            background=self._background,
            timeout_s=None if self._background else self._timeout_s,
            on_change=lambda: wakeups.set(self._news),
        )

    def close(self) -> None:
        """Cancel what is still under way."""
        for request in self.requests:
            request.cancel()

    async def begun(self) -> None:
        """Wait for the first news.

        Raises
        ------
        Refusal
            They are bad.
        """
        try:
            await self._news.wait()
            for request in self.requests:
                if request.error is not None:
                    raise refusal_of(request.error)
                if request.finish_reason is not None:
                    self._reason(request)
        except BaseException:
            self.close()
            raise

    async def news(self) -> AsyncIterator[News]:
        """What comes, as it comes, until all answers are complete.

        Raises
        ------
        Refusal
            One of them can't be completed.
        """
        left = {
            index: (request, _Following(index, self._tokenizer, ask))
            for index, (request, ask) in enumerate(zip(self.requests, self._asks, strict=True))
        }
        while left:
            await self._news.wait()
            self._news.clear()
            for index, (request, following) in list(left.items()):
                try:
                    steps, ended = request.taken()
                except Exception as error:
                    raise refusal_of(error) from error
                if steps:
                    self._noted.note_token()
                if ended:
                    del left[index]
                if steps and request.error is not None:
                    self._news.set()  # the failure comes behind these steps, and may be told of
                for news in following.take(steps, ended=ended):
                    yield news
                if ended:
                    yield self._end(index, request, following)

    async def whole(self) -> list[Whole]:
        """All that is said, of each answer, once all are complete.

        Raises
        ------
        Refusal
            One of them can't be completed.
        """
        answers = [Whole(index) for index in range(len(self.requests))]
        async for news in self.news():
            answers[news.index].take(news)
        return answers

    @property
    def usage(self) -> Usage:
        """The numbers of tokens; each prompt counts once."""
        prompts = self.requests[:: self._per_prompt]
        n_prompt = sum(request.n_prompt for request in prompts)
        n_generated = sum(request.timing.generated_tokens for request in self.requests)
        n_cached = sum(request.timing.cached_tokens for request in prompts)
        return Usage(
            prompt_tokens=n_prompt,
            completion_tokens=n_generated,
            total_tokens=n_prompt + n_generated,
            prompt_tokens_details=PromptDetails(cached_tokens=n_cached),
        )

    def _end(self, index: int, request: Request, following: _Following) -> End:
        """The end of an answer, which is noted."""
        calls = request.finish_reason == "stop" and following.spoken.n_calls
        self._noted.finish_reasons.append(
            "tool_calls" if calls else request.finish_reason or "error"
        )
        self._noted.usage = self.usage
        reason = self._reason(request)
        stop = following.spoken.stopped or request.stop_text
        return End(index, "tool_calls" if calls else reason, stop)

    def _reason(self, request: Request) -> Finish:
        match request.finish_reason:
            case "stop" | "length" as reason:
                return reason
            case "timeout":
                raise too_late(self._timeout_s)
            case _:
                raise ending()


class _Following:
    """Makes news of what one answer says."""

    def __init__(self, index: int, tokenizer: Tokenizer, ask: Ask) -> None:
        reader = None if ask.reader is None else ask.reader()
        self.spoken = Spoken(tokenizer, tokens=ask.top_logprobs is not None, reader=reader)
        self._index = index
        self._call = -1

    def take(self, steps: Sequence[Step], *, ended: bool) -> Iterator[News]:
        """What some more steps say; `ended` where they are the last."""
        piece = self.spoken.take(steps, ended=ended)
        if piece.text or piece.tokens:
            yield TextDelta(self._index, piece.text, piece.tokens)
        for part in piece.calls:
            if isinstance(part, Begun):
                self._call += 1
                yield CallBegun(self._index, self._call, f"call_{new_call_id()}", part.name)
            else:
                yield ArgumentsDelta(self._index, self._call, part.text)
