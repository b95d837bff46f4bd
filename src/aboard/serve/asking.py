"""What both kinds of completions share on the way from a request to the scheduler."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.served import ServedModel


def seeds(first: int | None, n: int) -> list[int]:
    """The seeds of `n` answers: from the one that was asked for, or from any."""
    first = secrets.randbits(63) if first is None else first
    return [first + i for i in range(n)]


def require_room(served: ServedModel, n_prompt: int, max_tokens: int | None, param: str) -> None:
    """Refuse an answer that may not fit the context.

    Raises
    ------
    Refusal
        Prompt and answer together are longer.
    """
    context = served.model.context_length
    if n_prompt + (max_tokens or 0) <= context:
        return
    wanted = f"; the answer may have {max_tokens} more" if max_tokens else ""
    raise Refusal(
        400,
        f"{served.name} has a context of {context} tokens; the prompt has {n_prompt}{wanted}",
        code="context_length_exceeded",
        param=param,
    )
