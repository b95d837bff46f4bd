"""`/v1/completions`: prompts are continued as they stand, and scored where that is asked for."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from aboard.serve.answers import Answers, Ask, News, Whole
from aboard.serve.asking import require_room, seeds
from aboard.serve.completion_bodies import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionChunkChoice,
    CompletionRequest,
    TokenLogprobs,
)
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.event_stream import EventStream
from aboard.serve.given import Usage
from aboard.serve.response_format import grammar_of
from aboard.serve.spoken import Said, written

if TYPE_CHECKING:
    from aboard.engine.token_scores import Top
    from aboard.serve.served import ServedModel


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A prompt, as text and as tokens, and where in the text each token's begins."""

    text: str
    tokens: list[int]
    offsets: list[int]


async def completions(call: Call[CompletionRequest]) -> Response:
    """Continue prompts, all at once or as it comes."""
    body, service = call.body, call.service
    served = service.models.named(body.model)
    prompts = await service.aside(_prompts, served, body.prompts)
    grammar = await grammar_of(call, served, body.response_format)
    asks = []
    for prompt in prompts:
        require_room(served, len(prompt.tokens), body.max_tokens, "prompt")
        asks += [
            Ask(
                prompt=prompt.tokens,
                sampling=body.sampling(seed, served.model.tokenizer.n_vocabulary),
                max_tokens=max(body.max_tokens, 1),  # none is asked for: it is left out below
                stop=body.stops,
                constraint=grammar,
                top_logprobs=body.logprobs,
                prompt_logprobs=body.logprobs if body.echo else None,
            )
            for seed in seeds(body.seed, body.n)
        ]
    answers = Answers(call, served, asks, per_prompt=body.n)
    writer = _Writer(served, body, prompts, answers)
    if body.stream:
        await answers.begun()
        return EventStream(writer.chunks(), service.limits, holds=answers)
    with answers:
        return json_response(await writer.completion())


def _prompts(served: ServedModel, given: Sequence[str | list[int]]) -> list[_Prompt]:
    """The prompts, tokenized."""
    model = served.model
    prompts = []
    for each in given:
        tokens = model.tokenizer.encode(each) if isinstance(each, str) else each
        model.checked_tokens(tokens)
        stream = model.tokenizer.stream(skip_special=False)
        offsets, text = [], ""
        for token in tokens:
            offsets.append(len(text))
            text += stream.push(token)
        text += stream.finish()
        prompts.append(_Prompt(each if isinstance(each, str) else text, list(tokens), offsets))
    return prompts


class _Writer:
    """Writes answers down."""

    def __init__(
        self,
        served: ServedModel,
        body: CompletionRequest,
        prompts: Sequence[_Prompt],
        answers: Answers,
    ) -> None:
        self._answers = answers
        self._body = body
        self._prompts = prompts
        self._piece = served.model.tokenizer.piece
        self._facts: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
            "system_fingerprint": served.fingerprint,
        }

    async def completion(self) -> Completion:
        """All answers, once they are complete."""
        choices = []
        for news in await self._answers.whole():
            text, logprobs = self._said(news, first=True)
            choices.append(
                CompletionChoice(
                    text=text,
                    index=news.index,
                    logprobs=logprobs,
                    finish_reason=news.finish_reason,
                )
            )
        return Completion(choices=choices, usage=self._usage, **self._facts)

    async def chunks(self) -> AsyncGenerator[CompletionChunk]:
        """The answers as they come."""
        begun: set[int] = set()
        async for news in self._answers.news():
            text, logprobs = self._said(news, first=news.index not in begun)
            begun.add(news.index)
            if text or news.finish_reason or (logprobs and logprobs.tokens):
                choice = CompletionChunkChoice(
                    text=text,
                    index=news.index,
                    logprobs=logprobs,
                    finish_reason=news.finish_reason,
                )
                yield self._event([choice], None)
        if self._body.wants_usage:
            yield self._event([], self._usage)

    def _event(self, choices: list[CompletionChunkChoice], usage: Usage | None) -> CompletionChunk:
        facts = self._facts | ({"usage": usage} if self._body.wants_usage else {})
        return CompletionChunk(choices=choices, **facts)

    @property
    def _usage(self) -> Usage:
        usage = self._answers.usage
        if self._body.max_tokens:
            return usage
        return usage.model_copy(
            update={"completion_tokens": 0, "total_tokens": usage.prompt_tokens}
        )

    def _said(self, news: News | Whole, *, first: bool) -> tuple[str, TokenLogprobs | None]:
        """What an answer says beyond what was sent of it, with the prompt where that is wanted."""
        body, piece = self._body, news.piece
        prompt = self._prompts[news.index // body.n]
        text, said = (piece.text, piece.tokens) if body.max_tokens else ("", [])
        echoed = first and body.echo
        logprobs = None
        if body.logprobs is not None:
            logprobs = TokenLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
            if echoed:
                scores = self._answers.requests[news.index].prompt_scores
                self._add(logprobs, prompt.tokens[0], None, None, 0)
                for score, offset in zip(scores, prompt.offsets[1:], strict=True):
                    self._add(logprobs, score.token, score.logprob, score.top, offset)
            self._add_answer(logprobs, said, len(prompt.text))
        return (prompt.text + text if echoed else text), logprobs

    def _add_answer(self, logprobs: TokenLogprobs, said: Iterable[Said], before: int) -> None:
        for each in said:
            step = each.step
            self._add(logprobs, step.token, step.logprob, step.top, before + each.offset)

    def _add(
        self,
        logprobs: TokenLogprobs,
        token: int,
        logprob: float | None,
        top: Top | None,
        offset: int,
    ) -> None:
        logprobs.tokens.append(self._name(token))
        logprobs.token_logprobs.append(logprob)
        logprobs.text_offset.append(offset)
        if top is None:
            logprobs.top_logprobs.append(None)
            return
        named: dict[str, float] = {}
        for each, value in (*top, (token, logprob or 0.0)):  # the cloud API adds the token itself
            named.setdefault(self._name(each), value)  # of those written alike, the likeliest
        logprobs.top_logprobs.append(named)

    def _name(self, token: int) -> str:
        return written(self._piece(token), escape="bytes:")


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/completions",
        handle=completions,
        summary="Continue prompts as they stand.",
        takes=CompletionRequest,
        gives=Completion,
        streams=CompletionChunk,
        statuses=(404, 429, 503, 504),
    ),
)
