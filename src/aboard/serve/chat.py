"""`/v1/chat/completions`: conversations are answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from aboard.serve.answers import Answers, Ask
from aboard.serve.asking import owner_of, require_room, seeds, usage_of
from aboard.serve.chat_bodies import (
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    ChunkChoice,
    Delta,
    Usage,
)
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.event_stream import EventStream

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel


async def chat_completions(call: Call[ChatRequest]) -> Response:
    """Answer a conversation, all at once or as it comes."""
    body, service = call.body, call.service
    served = service.models.named(body.model)
    messages = [
        {"role": "system" if each.role == "developer" else each.role, "content": each.text}
        for each in body.messages
    ]
    prompt = await service.aside(served.model.chat_tokens, messages, now=service.day)
    require_room(served, len(prompt), body.most_tokens, param="messages")
    asks = [
        Ask(
            prompt=prompt,
            sampling=body.sampling(seed),
            max_tokens=body.most_tokens,
            stop=body.stops,
            logprobs=body.logprobs,
        )
        for seed in seeds(body.seed, body.n)
    ]
    answers = Answers(service, served, asks, owner=owner_of(call, body.owner))
    writer = _Writer(served, body, answers)
    if body.stream:
        return EventStream(writer.chunks(), service.limits, {})
    with answers:
        return json_response(await writer.completion())


class _Writer:
    """Writes answers down."""

    def __init__(self, served: ServedModel, body: ChatRequest, answers: Answers) -> None:
        self._answers = answers
        self._body = body
        self._facts: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": served.name,
            "service_tier": "default",
            "system_fingerprint": served.fingerprint,
        }

    async def completion(self) -> ChatCompletion:
        """All answers, once they are complete."""
        texts = [""] * self._body.n
        reasons: dict[int, Any] = {}
        async for news in self._answers.news():
            texts[news.index] += "".join(step.text for step in news.steps)
            if news.finish_reason is not None:
                reasons[news.index] = news.finish_reason
        choices = [
            ChatChoice(
                index=index,
                message=AnswerMessage(role="assistant", content=text, refusal=None),
                logprobs=None,
                finish_reason=reasons[index],
            )
            for index, text in enumerate(texts)
        ]
        usage = usage_of(self._answers)
        return ChatCompletion(object="chat.completion", choices=choices, usage=usage, **self._facts)

    async def chunks(self) -> AsyncGenerator[ChatChunk]:
        """The answers as they come."""
        with self._answers:
            for index in range(self._body.n):
                yield self._chunk(index, Delta(role="assistant", content="", refusal=None), None)
            async for news in self._answers.news():
                text = "".join(step.text for step in news.steps)
                if text:
                    yield self._chunk(news.index, Delta(content=text), None)
                if news.finish_reason is not None:
                    yield self._chunk(news.index, Delta(), news.finish_reason)
            if self._body.wants_usage:
                yield self._event([], usage_of(self._answers))

    def _chunk(self, index: int, delta: Delta, reason: Any) -> ChatChunk:
        choice = ChunkChoice(index=index, delta=delta, logprobs=None, finish_reason=reason)
        return self._event([choice], None)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None) -> ChatChunk:
        told = {"usage": usage} if self._body.wants_usage else {}
        return ChatChunk(object="chat.completion.chunk", choices=choices, **told, **self._facts)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/chat/completions",
        handle=chat_completions,
        summary="Answer a conversation.",
        takes=ChatRequest,
        gives=ChatCompletion,
        streams=ChatChunk,
        statuses=(404, 429, 503, 504),
    ),
)
