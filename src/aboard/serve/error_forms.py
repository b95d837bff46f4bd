"""How protocols tell that a request is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from aboard.serve.refusals import ErrorBody, Refusal

if TYPE_CHECKING:
    from aboard.serve.noted import Noted


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorForm:
    """What a protocol says of a refusal.

    Attributes
    ----------
    kind : type of BaseModel
        What is sent.
    body : callable
        Makes it of a refusal and what is noted of the request.
    statuses : mapping
        Statuses of HTTP that it has in the place of others.
    id_header : str, optional
        One more header that tells the request's id.
    """

    kind: type[BaseModel]
    body: Callable[[Refusal, Noted], BaseModel]
    statuses: Mapping[int, int] = field(default_factory=dict)
    id_header: str | None = None


OPENAI = ErrorForm(kind=ErrorBody, body=lambda refusal, noted: refusal.body)
