"""Errors as clients of the cloud API know them: a status and an object that says what is wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from aboard.errors import (
    AboardError,
    ContextOverflow,
    GrammarError,
    NotEnoughMemory,
    NumericalError,
    Overloaded,
    StorageFull,
    TemplateError,
    TokenizerError,
    UnsupportedSchema,
    UsageError,
)

INVALID = "invalid_request_error"
SERVER = "server_error"
_log = logging.getLogger(__name__)


class ErrorFacts(BaseModel):
    """What is wrong."""

    model_config = ConfigDict(extra="forbid")

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer whose status is 400 or more."""

    model_config = ConfigDict(extra="forbid")

    error: ErrorFacts


class Refusal(Exception):
    """A request that is not served.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        What was found, what was expected.
    code : str
        The same for programs, such as "unknown_parameter".
    param : str, optional
        Which parameter, such as "messages[0].content".
    kind : str
        Whose mistake it is, in the words of the cloud API.
    headers : mapping
        More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        kind: str = INVALID,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = dict(headers or {})

    @property
    def body(self) -> ErrorBody:
        """What is sent."""
        facts = ErrorFacts(message=str(self), type=self.kind, param=self.param, code=self.code)
        return ErrorBody(error=facts)


def refusal_of(error: Exception, *, param: str | None = None) -> Refusal:
    """The refusal that an error comes to; of one that isn't ours nothing is told but to the log.

    `param` is the parameter that is to blame, where it is the client's mistake.
    """
    if not isinstance(error, AboardError):
        _log.error("a defect", exc_info=error)
        return Refusal(
            500, "the server failed", code="internal_error", kind=SERVER, headers=NO_RETRY
        )
    message = f"{error} ({error.hint})" if error.hint else str(error)
    told = message
    if param is not None and not message.startswith(param):
        told = f"{param}: {message}"
    match error:
        case ContextOverflow():
            return Refusal(400, told, code="context_length_exceeded", param=param)
        case UnsupportedSchema():
            return Refusal(400, told, code="unsupported_schema", param=param)
        case GrammarError():
            return Refusal(400, told, code="invalid_grammar", param=param)
        case UsageError() | TemplateError() | TokenizerError():
            return Refusal(400, told, code="invalid_value", param=param)
        case Overloaded():
            return overloaded(message)
        case NotEnoughMemory():
            return Refusal(503, message, code="no_memory", kind=SERVER, headers=retry_after(5))
        case StorageFull():
            return Refusal(507, message, code="storage_full", kind=SERVER, headers=NO_RETRY)
        case NumericalError():
            return Refusal(500, message, code="no_logits", kind=SERVER, headers=NO_RETRY)
        case _:
            return Refusal(500, message, code="internal_error", kind=SERVER, headers=NO_RETRY)


@contextmanager
def blamed(param: str) -> Iterator[None]:
    """Say of errors within that a parameter is to blame.

    Raises
    ------
    Refusal
        In place of them.
    """
    try:
        yield
    except AboardError as error:
        raise refusal_of(error, param=param) from None


def invalid(message: str, param: str) -> Refusal:
    """A parameter has a value that it can't have."""
    return Refusal(400, f"{param}: {message}", code="invalid_value", param=param)


def overloaded(message: str) -> Refusal:
    """More is asked for than may wait."""
    return Refusal(429, message, code="queue_full", kind="rate_limit_error", headers=retry_after(1))


def ending() -> Refusal:
    """The server is about to end."""
    return Refusal(503, "the server is ending", code="ending", kind=SERVER, headers=retry_after(5))


def too_late(seconds: float) -> Refusal:
    """An answer took longer than it may; asking again would not help."""
    return Refusal(
        504,
        f"the answer was not complete after {seconds:g} s",
        code="timeout",
        kind="timeout_error",
        headers=NO_RETRY,
    )


def retry_after(seconds: int) -> dict[str, str]:
    """When a client should ask again."""
    return {"retry-after": str(seconds)}


NO_RETRY = {"x-should-retry": "false"}
"""The cloud API's own clients ask again after a status of 500 or more, but for this header."""
