"""`/v1/completions`: prompts are continued as they stand, and scored where that is asked for."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from aboard.serve.answers import Answers, Ask
from aboard.serve.asking import require_few, require_room, response_to, seeded
from aboard.serve.completion_bodies import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionChunkChoice,
    CompletionRequest,
    TokenLogprobs,
)
from aboard.serve.endpoint import Call, Endpoint
from aboard.serve.given import Finish, TextFinish, Usage
from aboard.serve.news import End, TextDelta
from aboard.serve.response_format import compiled, form_of
from aboard.serve.spoken import Said, written

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain import Grammar
    from aboard.engine import Sampling
    from aboard.engine.token_scores import Top
    from aboard.serve.served import ServedModel


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A prompt, as text and as tokens, and where in the text each begins if that is asked for."""

    text: str
    tokens: list[int]
    offsets: list[int]


async def completions(call: Call[CompletionRequest]) -> Response:
    """Continue prompts, all at once or as it comes."""
    service = call.service
    served = service.models.named(call.body.model)
    body = served.defaults.into(call.body)
    require_few(
        service.limits, body.n * len(body.prompts), "prompt" if len(body.prompts) > body.n else "n"
    )
    sampling = body.sampling(served.model.tokenizer.n_vocabulary)
    prompts = await service.aside(_prompts, served, body)
    for prompt in prompts:
        require_room(served, len(prompt.tokens), body.max_tokens, "prompt")
    grammar = await compiled(call, served, form_of(body.response_format))
    asks = await service.aside(_asks, body, prompts, sampling, grammar)
    answers = Answers(call, served, asks, per_prompt=body.n, owner=body.owner)
    writer = _Writer(served, body, prompts, answers)
    return await response_to(
        call, answers, whole=writer.completion, events=writer.chunks, stream=body.stream
    )


def _asks(
    body: CompletionRequest,
    prompts: Sequence[_Prompt],
    sampling: Sampling,
    grammar: Grammar | None,
) -> list[Ask]:
    """What is asked for: `n` answers to each prompt."""
    return [
        Ask(
            prompt=prompt.tokens,
            sampling=drawn,
            max_tokens=max(body.max_tokens, 1),  # none is asked for: it is left out below
            stop=body.stops,
            constraint=grammar,
            top_logprobs=body.logprobs,
            prompt_logprobs=body.logprobs if body.echo else None,
        )
        for prompt in prompts
        for drawn in seeded(sampling, body.seed, body.n)
    ]


def _prompts(served: ServedModel, body: CompletionRequest) -> list[_Prompt]:
    """The prompts, tokenized."""
    model = served.model
    prompts = []
    for each in body.prompts:
        text = each if isinstance(each, str) else None
        tokens = model.tokenizer.encode(each) if isinstance(each, str) else list(each)
        model.checked_tokens(tokens)
        if text is None or (body.logprobs is not None and body.echo):
            spelled, offsets = _spelled(model.tokenizer, tokens, text)
            prompts.append(_Prompt(spelled if text is None else text, tokens, offsets))
        else:
            prompts.append(_Prompt(text, tokens, []))
    return prompts


def _spelled(
    tokenizer: Tokenizer, tokens: Sequence[int], text: str | None
) -> tuple[str, list[int]]:
    """The text of `tokens`, and where in it each begins.

    Where they are of `text`, tokens that the tokenizer puts around it have none.
    """
    added: set[int] = set()
    if text is not None:
        own = tokenizer.encode(text, add_special=False)
        before = int(tokens[: len(own)] != own)  # BOS, or none
        added = {*range(before), *range(before + len(own), len(tokens))}
    stream = tokenizer.stream(skip_special=False)
    offsets, spelled = [], ""
    for place, token in enumerate(tokens):
        offsets.append(len(spelled))
        said = stream.push(token)
        spelled += "" if place in added else said
    return spelled + stream.finish(), offsets


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
        for answer in await self._answers.whole():
            text, logprobs = self._said(answer.index, answer.text, answer.tokens, first=True)
            choices.append(
                CompletionChoice(
                    text=text,
                    index=answer.index,
                    logprobs=logprobs,
                    finish_reason=_finish(answer.finish_reason),
                )
            )
        return Completion(choices=choices, usage=self._usage, **self._facts)

    async def chunks(self) -> AsyncGenerator[CompletionChunk]:
        """The answers as they come."""
        begun: set[int] = set()
        async for news in self._answers.news():
            index, first = news.index, news.index not in begun
            begun.add(index)
            new, tokens = (news.text, news.tokens) if isinstance(news, TextDelta) else ("", [])
            reason = _finish(news.finish_reason) if isinstance(news, End) else None
            text, logprobs = self._said(index, new, tokens, first=first)
            if text or reason or (logprobs and logprobs.tokens):
                choice = CompletionChunkChoice(
                    text=text, index=index, logprobs=logprobs, finish_reason=reason
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

    def _said(
        self, index: int, text: str, said: Sequence[Said], *, first: bool
    ) -> tuple[str, TokenLogprobs | None]:
        """What an answer says beyond what was sent of it, with the prompt where that is wanted."""
        body = self._body
        prompt = self._prompts[index // body.n]
        text, said = (text, said) if body.max_tokens else ("", [])
        echoed = first and body.echo
        logprobs = None
        if body.logprobs is not None:
            logprobs = TokenLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
            if echoed:
                scores = self._answers.requests[index].prompt_scores
                self._add(logprobs, prompt.tokens[0], None, None, prompt.offsets[0])
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


def _finish(reason: Finish) -> TextFinish:
    """Why an answer without tools ended."""
    return "length" if reason == "length" else "stop"


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
