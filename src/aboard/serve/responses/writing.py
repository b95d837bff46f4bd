"""Responses are written down, all at once or as they come."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from aboard.serve.event_stream import Named
from aboard.serve.news import End
from aboard.serve.refusals import Refusal
from aboard.serve.responses.given import (
    AnyEvent,
    ErrorEvent,
    Incomplete,
    InputDetails,
    LifeEvent,
    OutputDetails,
    ResponseFailure,
    ResponseObject,
    ResponseUsage,
)
from aboard.serve.responses.items import new_id
from aboard.serve.responses.output import Output
from aboard.serve.responses.tools import told_choice

if TYPE_CHECKING:
    from aboard.serve.answers import Answers
    from aboard.serve.given import Finish
    from aboard.serve.responses.bodies import ResponseRequest
    from aboard.serve.served import ServedModel


class ResponseWriter:
    """Writes an answer down.

    Parameters
    ----------
    served : ServedModel
        What answers.
    body : ResponseRequest
        How it was asked.
    answers : Answers
        One answer.
    whole : callable
        Told the response once it is whole.
    """

    def __init__(
        self,
        served: ServedModel,
        body: ResponseRequest,
        answers: Answers,
        whole: Callable[[ResponseObject], None],
    ) -> None:
        self._answers = answers
        self._output = Output(served.model.tokenizer.piece)
        self._whole = whole
        self._facts = _facts(served, body)

    async def response(self) -> ResponseObject:
        """The response, once it is whole."""
        finish: Finish = "stop"
        async for news in self._answers.news():
            for _ in self._output.take(news):
                pass  # what an event tells is in the items, too
            if isinstance(news, End):
                finish = news.finish_reason
        return self._ended(finish)

    async def events(self) -> AsyncGenerator[Named]:
        """The response as it comes."""
        finish: Finish = "stop"
        begun = self._response("in_progress")
        yield self._life("response.created", begun)
        yield self._life("response.in_progress", begun)
        try:
            async for news in self._answers.news():
                for event in self._output.take(news):
                    yield _named(event)
                if isinstance(news, End):
                    finish = news.finish_reason
        except Refusal as refusal:
            told = {"code": refusal.code, "message": str(refusal), "param": refusal.param}
            yield _named(self._output.numbered(ErrorEvent, type="error", **told))
            raise
        response = self._ended(finish)
        yield self._life(f"response.{response.status}", response)

    def failed(self, refusal: Refusal) -> Named:
        """The last event of an answer that can't be completed."""
        error = ResponseFailure(code=refusal.code, message=str(refusal))
        return self._life("response.failed", self._response("failed", error=error))

    def _ended(self, finish: Finish) -> ResponseObject:
        if finish == "length":
            details = Incomplete(reason="max_output_tokens")
            response = self._response("incomplete", incomplete_details=details, usage=self._usage)
        else:
            response = self._response("completed", completed_at=int(time.time()), usage=self._usage)
        self._whole(response)
        return response

    def _response(self, status: str, **facts: Any) -> ResponseObject:
        told: dict[str, Any] = {
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "usage": None,
        }
        told |= {**facts, "status": status, "output": list(self._output.items)}
        return ResponseObject(**self._facts, **told)

    def _life(self, kind: str, response: ResponseObject) -> Named:
        return _named(self._output.numbered(LifeEvent, type=kind, response=response))

    @property
    def _usage(self) -> ResponseUsage:
        usage = self._answers.usage
        cached = usage.prompt_tokens_details.cached_tokens
        return ResponseUsage(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(cached_tokens=cached, cache_write_tokens=0),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=0),
            total_tokens=usage.total_tokens,
        )


def _named(event: AnyEvent) -> Named:
    return Named(event.type, event)


def _facts(served: ServedModel, body: ResponseRequest) -> dict[str, Any]:
    """What a response says from its beginning."""
    same = (
        "background",
        "instructions",
        "max_output_tokens",
        "metadata",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "safety_identifier",
        "store",
        "temperature",
        "top_logprobs",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "truncation",
        "user",
    )
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
        "max_tool_calls": None,
        "reasoning": None,
        "service_tier": "default",
        "text": body.text.told,
        "tool_choice": told_choice(body.tool_choice),
        "tools": [tool.told for tool in body.tools],
        **{name: getattr(body, name) for name in same},
    }
