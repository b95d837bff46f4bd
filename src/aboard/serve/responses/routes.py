"""The routes of `/v1/responses`."""

from __future__ import annotations

from starlette.responses import Response

from aboard.serve.asking import response_to
from aboard.serve.conversation import Conversation, Message, answers_to, prompt_of
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.event_stream import StreamForm
from aboard.serve.refusals import Refusal, invalid
from aboard.serve.responses.bodies import ItemsQuery, ResponseQuery, ResponseRequest
from aboard.serve.responses.given import (
    DeletedResponse,
    ItemList,
    ResponseEvent,
    ResponseInputTokens,
    ResponseObject,
)
from aboard.serve.responses.items import Item, messages_of
from aboard.serve.responses.kept import KeptResponse, items_of
from aboard.serve.responses.tools import FunctionChoice, choice_of, tools_of
from aboard.serve.responses.writing import ResponseWriter
from aboard.serve.served import ServedModel


async def create_response(call: Call[ResponseRequest]) -> Response:
    """Answer a conversation, all at once or as it comes."""
    service = call.service
    served = service.models.named(call.body.model)
    body = served.defaults.into(call.body, max_tokens="max_output_tokens")
    before = await _before(call)
    added = body.items
    answers = await answers_to(call, served, _conversation(body, served, [*before, *added]))

    def whole(response: ResponseObject) -> None:
        if body.store:
            service.responses.keep(call.noted.holder, response, added)

    writer = ResponseWriter(served, body, answers, whole)
    return await response_to(
        call,
        answers,
        whole=writer.response,
        events=writer.events,
        stream=body.stream,
        form=StreamForm(error=writer.failed),
    )


async def _before(call: Call[ResponseRequest]) -> list[Item]:
    """The items that a request follows on."""
    previous = call.body.previous_response_id
    if previous is None:
        return []
    try:
        texts = call.service.responses.texts(call.noted.holder, previous)
    except Refusal as missing:
        raise Refusal(
            400,
            f"previous_response_id: {missing}",
            code="previous_response_not_found",
            param="previous_response_id",
        ) from None
    return await call.service.aside(items_of, texts)


def _conversation(body: ResponseRequest, served: ServedModel, items: list[Item]) -> Conversation:
    """What a body asks."""
    is_one = isinstance(body.tool_choice, FunctionChoice)
    messages: list[Message] = []
    if body.instructions is not None:
        messages.append({"role": "system", "content": body.instructions})
    return Conversation(
        messages=[*messages, *messages_of(items)],
        tools=tools_of(body.tools),
        tool_choice=choice_of(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls and not is_one,
        form=body.text.form,
        sampling=body.sampling(served.model.tokenizer.n_vocabulary),
        seed=body.seed,
        max_tokens=body.max_output_tokens,
        top_logprobs=body.shown_logprobs,
        owner=body.owner,
        param="input",
    )


async def count_response_tokens(call: Call[ResponseRequest]) -> Response:
    """How many tokens the model would be given of a conversation."""
    body = call.body
    served = call.service.models.named(body.model)
    call.noted.model = served.name
    items = [*await _before(call), *body.items]
    tokens = await prompt_of(call, served, _conversation(body, served, items))
    return json_response(
        ResponseInputTokens(object="response.input_tokens", input_tokens=len(tokens))
    )


async def get_response(call: Call[ResponseQuery]) -> Response:
    """A response that is kept."""
    text = call.service.responses.text(call.noted.holder, call.http.path_params["response_id"])
    return json_response(KeptResponse.model_validate_json(text).response)


async def delete_response(call: Call[None]) -> Response:
    """Keep a response no more."""
    name = call.http.path_params["response_id"]
    call.service.responses.forget(call.noted.holder, name)
    return json_response(DeletedResponse(id=name, object="response", deleted=True))


async def list_input_items(call: Call[ItemsQuery]) -> Response:
    """What was said before a response, and since when it follows on others."""
    query, name = call.body, call.http.path_params["response_id"]
    texts = call.service.responses.texts(call.noted.holder, name)
    items = await call.service.aside(_answered, texts)
    if query.order == "desc":
        items.reverse()
    begin = 0 if query.after is None else _place_of(query.after, items) + 1
    shown = items[begin : begin + query.limit]
    return json_response(
        ItemList(
            object="list",
            data=shown,
            first_id=shown[0].id if shown else None,
            last_id=shown[-1].id if shown else None,
            has_more=begin + query.limit < len(items),
        )
    )


def _place_of(name: str, items: list[Item]) -> int:
    for place, item in enumerate(items):
        if item.id == name:
            return place
    raise invalid(f"no item {name!r} is in this conversation", "after")


def _answered(texts: list[bytes]) -> list[Item]:
    """The items that the last of `texts` answers."""
    return [*items_of(texts[:-1]), *KeptResponse.model_validate_json(texts[-1]).input]


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/responses",
        also=("/responses",),
        handle=create_response,
        summary="Answer a conversation, which may follow on a response that is kept.",
        takes=ResponseRequest,
        gives=ResponseObject,
        streams=ResponseEvent,
        named=True,
        statuses=(404, 429, 503, 504),
    ),
    Endpoint(
        method="POST",
        path="/v1/responses/input_tokens",
        handle=count_response_tokens,
        summary="How many tokens the model would be given of a conversation.",
        takes=ResponseRequest,
        gives=ResponseInputTokens,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/responses/{response_id}",
        handle=get_response,
        summary="A response that is kept.",
        asks=ResponseQuery,
        gives=ResponseObject,
        statuses=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/v1/responses/{response_id}",
        handle=delete_response,
        summary="Keep a response no more.",
        gives=DeletedResponse,
        statuses=(404,),
    ),
    Endpoint(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        handle=list_input_items,
        summary="What was said before a response that is kept.",
        asks=ItemsQuery,
        gives=ItemList,
        statuses=(404,),
    ),
)
