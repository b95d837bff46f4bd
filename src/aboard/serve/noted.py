"""What is noted of a request on its way, for logs, metrics and turns."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aboard.serve.error_forms import OPENAI, ErrorForm

if TYPE_CHECKING:
    from starlette.types import Scope

    from aboard.serve.given import Usage

_KEY = "aboard.noted"


@dataclass(slots=True)
class Noted:
    """A request, without a word of what it says.

    Attributes
    ----------
    id : str
        Sent as `x-request-id`.
    began : float
        By `time.perf_counter`.
    owner : str
        Whose it is: a number that stands for a key, or an address.
    holder : str
        To whom what is kept belongs: a hash of the key, the same whenever it is sent, or "".
    background : bool
        Whether it is a line of a batch: all others come before it.
    route : str
        The path as it is declared, or "" where there is none.
    errors : ErrorForm
        How refusals are told.
    model : str
        The model that answers, or "".
    status : int
        Of the response, once it began.
    code : str
        Of the refusal, or "".
    usage : Usage or None
        Numbers of tokens, once they are known.
    finish_reasons : list of str
        Of the answers that are complete.
    first_token_s : float or None
        From the beginning to the first token.
    last_token_s : float or None
        From the beginning to the last token.
    """

    id: str = field(default_factory=lambda: f"req_{secrets.token_hex(16)}")
    began: float = field(default_factory=time.perf_counter)
    owner: str = ""
    holder: str = ""
    background: bool = False
    route: str = ""
    errors: ErrorForm = OPENAI
    model: str = ""
    status: int = 0
    code: str = ""
    usage: Usage | None = None
    finish_reasons: list[str] = field(default_factory=list)
    first_token_s: float | None = None
    last_token_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def note_gone(self) -> None:
        """The client is gone, if it wasn't given up."""
        self.code = self.code or "client_gone"

    def note_token(self) -> None:
        """Tokens have come."""
        self.last_token_s = self.elapsed_s
        if self.first_token_s is None:
            self.first_token_s = self.last_token_s


def noted(scope: Scope) -> Noted:
    """What is noted of the request of an ASGI scope."""
    found = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = Noted()
    assert isinstance(found, Noted)
    return found
