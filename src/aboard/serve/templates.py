"""`/apply-template`: a conversation as the model reads it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from starlette.responses import Response

from aboard.serve.body import Body
from aboard.serve.chat import template_messages, tools_of
from aboard.serve.chat_bodies import Message, TemplateKwargs
from aboard.serve.conversation import require_clean
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given
from aboard.serve.refusals import blamed
from aboard.serve.tool_bodies import AnyTool
from aboard.tool_calls.tool import MAX_TOOLS

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel


class TemplateRequest(Body):
    """A conversation."""

    model: str | None = Field(default=None, description="By default the first of `/v1/models`.")
    messages: Annotated[list[Message], Field(min_length=1)]
    tools: Annotated[list[AnyTool], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list, description="What the template is told may be called."
    )
    add_generation_prompt: bool = Field(
        default=True, description="End with the words that begin an answer."
    )
    chat_template_kwargs: TemplateKwargs = Field(default_factory=dict)


class Prompt(Given):
    """The conversation, written down."""

    prompt: str


async def apply_template(call: Call[TemplateRequest]) -> Response:
    """Write a conversation down; nothing is computed."""
    body, service = call.body, call.service
    served = service.models.named(body.model)
    call.noted.model = served.name
    text = await service.aside(_text, served, body, service.day)
    return json_response(Prompt(prompt=text))


def _text(served: ServedModel, body: TemplateRequest, day: date) -> str:
    tools = tools_of(body.tools)
    require_clean(served, tools, body.chat_template_kwargs)
    with blamed("messages"):
        return served.model.chat_text(
            template_messages(body.messages),
            tools=tools,
            now=day,
            template_kwargs=served.defaults.variables(body.chat_template_kwargs),
            add_generation_prompt=body.add_generation_prompt,
        )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/apply-template",
        handle=apply_template,
        summary="A conversation as the model's chat template writes it.",
        takes=TemplateRequest,
        gives=Prompt,
        statuses=(404,),
    ),
)
