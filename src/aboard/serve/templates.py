"""`/apply-template`: a conversation as the model reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from aboard.errors import TemplateError
from aboard.serve.body import Body
from aboard.serve.chat_bodies import Message
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given


class TemplateRequest(Body):
    """A conversation."""

    model: str | None = Field(default=None, description="By default the first of `/v1/models`.")
    messages: Annotated[list[Message], Field(min_length=1)]
    tools: list[dict[str, Any]] = Field(
        default_factory=list, description="What the template is told may be called."
    )
    add_generation_prompt: bool = Field(
        default=True, description="End with the words that begin an answer."
    )


class Prompt(Given):
    """The conversation, written down."""

    prompt: str


async def apply_template(call: Call[TemplateRequest]) -> Response:
    """Write a conversation down; nothing is computed."""
    body, service = call.body, call.service
    served = service.models.named(body.model)
    call.noted.model = served.name
    template = served.model.chat_template
    if template is None:
        raise TemplateError(f"{served.name}: has no chat template")
    messages = [
        {"role": "system" if each.role == "developer" else each.role, "content": each.text}
        for each in body.messages
    ]
    text = await service.aside(
        template.render,
        messages,
        add_generation_prompt=body.add_generation_prompt,
        tools=body.tools or None,
        now=service.day,
    )
    return json_response(Prompt(prompt=text))


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
