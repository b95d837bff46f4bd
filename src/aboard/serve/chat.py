"""`/v1/chat/completions`: conversations are answered."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from aboard.serve.answers import Answers
from aboard.serve.asking import response_to
from aboard.serve.chat_bodies import (
    AnswerMessage,
    AssistantMessage,
    CallDelta,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    ChoiceLogprobs,
    ChunkChoice,
    Delta,
    FunctionDelta,
    GivenCall,
    GivenFunction,
    InputTokens,
    Message,
    MessageToolCall,
    ToolMessage,
)
from aboard.serve.conversation import Conversation, answers_to, prompt_of
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Finish, Usage
from aboard.serve.news import ArgumentsDelta, CallBegun, End, TextDelta, Whole
from aboard.serve.refusals import invalid
from aboard.serve.response_format import form_of
from aboard.serve.spoken import Said
from aboard.serve.token_logprobs import logprob_of
from aboard.serve.tool_bodies import AnyTool, NamedChoice, choice_of, object_in, tool_of
from aboard.tool_calls import Tool

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel


async def chat_completions(call: Call[ChatRequest]) -> Response:
    """Answer a conversation, all at once or as it comes."""
    served = call.service.models.named(call.body.model)
    body = served.defaults.into(call.body, max_tokens="max_completion_tokens")
    answers = await answers_to(call, served, _conversation(body, served))
    writer = _Writer(served, body, answers)
    return await response_to(
        call, answers, whole=writer.completion, events=writer.chunks, stream=body.stream
    )


async def count_chat_tokens(call: Call[ChatRequest]) -> Response:
    """How many tokens the model would be given of a conversation."""
    body = call.body
    served = call.service.models.named(body.model)
    call.noted.model = served.name
    tokens = await prompt_of(call, served, _conversation(body, served))
    return json_response(InputTokens(input_tokens=len(tokens)))


def _conversation(body: ChatRequest, served: ServedModel) -> Conversation:
    """What a body asks."""
    is_one = isinstance(body.tool_choice, NamedChoice)
    return Conversation(
        messages=template_messages(body.messages),
        tools=tools_of(body.tools),
        tool_choice=choice_of(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls and not is_one,
        form=form_of(body.response_format),
        sampling=body.sampling(served.model.tokenizer.n_vocabulary),
        seed=body.seed,
        n=body.n,
        max_tokens=body.most_tokens,
        stop=body.stops,
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        owner=body.owner,
        template_kwargs=body.chat_template_kwargs,
    )


def tools_of(given: Sequence[AnyTool]) -> list[Tool]:
    """The tools; one whose schema is of no object is refused by name."""
    functions = [each.function for each in given]
    return [
        tool_of(each.name, each.description, each.parameters, f"tools[{n}].function.parameters")
        for n, each in enumerate(functions)
    ]


def template_messages(given: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as chat templates take them.

    Raises
    ------
    Refusal
        The arguments of a call are no object, or a result is of no call.
    """
    known: set[str] = set()
    made: list[dict[str, Any]] = []
    for place, each in enumerate(given):
        role = "system" if each.role == "developer" else each.role
        message: dict[str, Any] = {"role": role, "content": each.text}
        if isinstance(each, AssistantMessage) and each.tool_calls is not None:
            calls = [
                _called(call, f"messages[{place}].tool_calls[{number}].function.arguments")
                for number, call in enumerate(each.tool_calls)
            ]
            message["tool_calls"] = calls
            known.update(call.id for call in each.tool_calls)
        if isinstance(each, ToolMessage):
            if each.tool_call_id not in known:
                raise invalid("no call before it has this id", f"messages[{place}].tool_call_id")
            message["tool_call_id"] = each.tool_call_id
            message |= {} if each.name is None else {"name": each.name}
        made.append(message)
    return made


def _called(call: MessageToolCall, param: str) -> dict[str, Any]:
    try:
        arguments = object_in(call.function.arguments)
    except ValueError as error:
        raise invalid(str(error), param) from None
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _message(answer: Whole) -> AnswerMessage:
    """An answer as a message."""
    if not answer.calls:
        return AnswerMessage(role="assistant", content=answer.text, refusal=None)
    calls = [
        GivenCall(
            id=each.id,
            type="function",
            function=GivenFunction(name=each.name, arguments=each.arguments),
        )
        for each in answer.calls
    ]
    return AnswerMessage(
        role="assistant", content=answer.text or None, refusal=None, tool_calls=calls
    )


class _Writer:
    """Writes answers down."""

    def __init__(self, served: ServedModel, body: ChatRequest, answers: Answers) -> None:
        self._answers = answers
        self._body = body
        self._piece = served.model.tokenizer.piece
        self._facts: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": served.name,
            "service_tier": "default",
            "system_fingerprint": served.fingerprint,
        }

    async def completion(self) -> ChatCompletion:
        """All answers, once they are complete."""
        choices = [
            ChatChoice(
                index=answer.index,
                message=_message(answer),
                logprobs=self._logprobs(answer.tokens),
                finish_reason=answer.finish_reason,
            )
            for answer in await self._answers.whole()
        ]
        return ChatCompletion(
            object="chat.completion", choices=choices, usage=self._answers.usage, **self._facts
        )

    async def chunks(self) -> AsyncGenerator[ChatChunk | str]:
        """The answers as they come."""
        frames = [self._frame(index) for index in range(self._body.n)]
        for index in range(self._body.n):
            yield self._chunk(index, Delta(role="assistant", content="", refusal=None))
        async for news in self._answers.news():
            match news:
                case TextDelta(index, text, []):
                    yield json.dumps(text, ensure_ascii=False).join(frames[index])
                case TextDelta(index, text, tokens):
                    yield self._chunk(index, Delta(content=text), tokens)
                case CallBegun(index, number, call_id, name):
                    function = FunctionDelta(name=name, arguments="")
                    begun = CallDelta(index=number, id=call_id, type="function", function=function)
                    yield self._chunk(index, Delta(tool_calls=[begun]))
                case ArgumentsDelta(index, number, text):
                    more = CallDelta(index=number, function=FunctionDelta(arguments=text))
                    yield self._chunk(index, Delta(tool_calls=[more]))
                case End(index, reason):
                    yield self._chunk(index, Delta(), reason=reason)
        if self._body.wants_usage:
            yield self._event([], self._answers.usage)

    def _frame(self, index: int) -> list[str]:
        """The JSON of an event before and behind its text: the same for all of an answer."""
        whole = self._chunk(index, Delta(content="")).model_dump_json(exclude_unset=True)
        before, content, behind = whole.partition('"content":')
        return [before + content, behind.removeprefix('""')]

    def _chunk(
        self,
        index: int,
        delta: Delta,
        tokens: Sequence[Said] | None = None,
        reason: Finish | None = None,
    ) -> ChatChunk:
        logprobs = None if tokens is None else self._logprobs(tokens)
        choice = ChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=reason)
        return self._event([choice], None)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None) -> ChatChunk:
        facts = self._facts | ({"usage": usage} if self._body.wants_usage else {})
        return ChatChunk(object="chat.completion.chunk", choices=choices, **facts)

    def _logprobs(self, tokens: Sequence[Said]) -> ChoiceLogprobs | None:
        if not self._body.logprobs:
            return None
        return ChoiceLogprobs(
            content=[logprob_of(said, self._piece) for said in tokens], refusal=None
        )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/chat/completions",
        also=("/chat/completions",),
        handle=chat_completions,
        summary="Answer a conversation.",
        takes=ChatRequest,
        gives=ChatCompletion,
        streams=ChatChunk,
        statuses=(404, 429, 503, 504),
    ),
    Endpoint(
        method="POST",
        path="/v1/chat/completions/input_tokens",
        also=("/chat/completions/input_tokens",),
        handle=count_chat_tokens,
        summary="How many tokens the model would be given of a conversation.",
        takes=ChatRequest,
        gives=InputTokens,
        statuses=(404,),
    ),
)
