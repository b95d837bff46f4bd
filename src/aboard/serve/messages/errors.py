"""Errors as clients of Anthropic's API know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aboard.serve.error_forms import ErrorForm
from aboard.serve.given import Given

if TYPE_CHECKING:
    from aboard.serve.noted import Noted
    from aboard.serve.refusals import Refusal

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class MessagesErrorFacts(Given):
    """What is wrong; the message begins with the parameter that is to blame, if one is."""

    type: str
    message: str


class MessagesError(Given):
    """The body of every answer whose status is 400 or more, and the last event of a failure."""

    type: Literal["error"]
    error: MessagesErrorFacts
    request_id: str


def told(refusal: Refusal, noted: Noted) -> MessagesError:
    """What is sent."""
    message, param = str(refusal), refusal.param
    if param is not None and param not in message:
        message = f"{param}: {message}"
    kind = _KINDS.get(refusal.status, "invalid_request_error")
    facts = MessagesErrorFacts(type=kind, message=message)
    return MessagesError(type="error", error=facts, request_id=noted.id)


ANTHROPIC = ErrorForm(kind=MessagesError, body=told, statuses={503: 529}, id_header="request-id")
