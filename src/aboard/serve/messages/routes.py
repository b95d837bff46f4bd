"""The routes of `/v1/messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from aboard.serve.asking import response_to
from aboard.serve.conversation import Conversation, answers_to, prompt_of
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.event_stream import Named, StreamForm
from aboard.serve.messages.bodies import CountRequest, MessagesRequest
from aboard.serve.messages.errors import ANTHROPIC, told
from aboard.serve.messages.given import MessageObject, MessagesEvent, TokenCount
from aboard.serve.messages.tools import choice_of, tools_of
from aboard.serve.messages.writing import MessageWriter
from aboard.serve.refusals import invalid

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel

VERSIONS = ("2023-06-01", "2026-10-21")
"""Of the API; they differ in what they take, and the routes take what either does."""


async def create_message(call: Call[MessagesRequest]) -> Response:
    """Answer a conversation, all at once or as it comes."""
    _require_version(call)
    served = call.service.models.named(call.body.model)
    body = served.defaults.into(call.body)
    answers = await answers_to(call, served, _conversation(body, served))
    writer = MessageWriter(served, answers)
    return await response_to(
        call,
        answers,
        whole=writer.message,
        events=writer.events,
        stream=body.stream,
        form=StreamForm(last=None, error=lambda refusal: Named("error", told(refusal, call.noted))),
    )


def _conversation(body: MessagesRequest, served: ServedModel) -> Conversation:
    """What a body asks."""
    return Conversation(
        messages=body.conversation(),
        tools=tools_of(body.tools),
        tool_choice=choice_of(body.tool_choice),
        parallel_tool_calls=body.parallel,
        form=body.form,
        sampling=body.sampling(served.model.tokenizer.n_vocabulary),
        seed=body.seed,
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences),
        stop_param="stop_sequences",
        owner=body.metadata.user_id or "",
    )


async def count_tokens(call: Call[CountRequest]) -> Response:
    """How many tokens the model would be given of a conversation."""
    from aboard.engine import Sampling

    _require_version(call)
    body = call.body
    served = call.service.models.named(body.model)
    call.noted.model = served.name
    asked = Conversation(
        messages=body.conversation(), tools=tools_of(body.tools), sampling=Sampling()
    )
    tokens = await prompt_of(call, served, asked)
    return json_response(TokenCount(input_tokens=len(tokens)))


def _require_version(call: Call[Any]) -> None:
    version = call.http.headers.get("anthropic-version", VERSIONS[0])
    if version not in VERSIONS:
        raise invalid(f"{version!r}, expected {' or '.join(VERSIONS)}", "anthropic-version")


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/messages",
        handle=create_message,
        summary="Answer a conversation, in the words of Anthropic's API.",
        takes=MessagesRequest,
        gives=MessageObject,
        streams=MessagesEvent,
        named=True,
        errors=ANTHROPIC,
        statuses=(404, 429, 503, 504),
    ),
    Endpoint(
        method="POST",
        path="/v1/messages/count_tokens",
        handle=count_tokens,
        summary="Count the tokens of a conversation.",
        takes=CountRequest,
        gives=TokenCount,
        errors=ANTHROPIC,
        statuses=(404,),
    ),
)
