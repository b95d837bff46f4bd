"""What both kinds of completions share on the way from a request to the scheduler."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from aboard.serve.chat_bodies import CachedTokens, Usage
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.serve.answers import Answers
    from aboard.serve.endpoint import Call
    from aboard.serve.served import ServedModel


def seeds(first: int | None, n: int) -> list[int]:
    """The seeds of `n` answers: from the one that was asked for, or from any."""
    first = secrets.randbits(63) if first is None else first
    return [first + i for i in range(n)]


def require_room(served: ServedModel, n_prompt: int, max_tokens: int | None, *, param: str) -> None:
    """Refuse an answer that may not fit the context.

    Raises
    ------
    Refusal
        Prompt and answer together are longer.
    """
    context = served.model.context_length
    if n_prompt + (max_tokens or 0) <= context:
        return
    raise Refusal(
        400,
        f"{served.name} has a context of {context} tokens; the prompt has {n_prompt} and the "
        f"answer may have {max_tokens or 'some'} more",
        code="context_length_exceeded",
        param=param,
    )


def owner_of(call: Call[Any], user: str) -> str:
    """Whose request it is, as far as turns are concerned."""
    address = call.http.client.host if call.http.client else ""
    return f"{address} {user}"


def usage_of(answers: Answers) -> Usage:
    """The numbers of tokens of complete answers."""
    timings = [request.timing for request in answers.requests]
    n_generated = sum(timing.generated_tokens for timing in timings)
    return Usage(
        prompt_tokens=answers.n_prompt,
        completion_tokens=n_generated,
        total_tokens=answers.n_prompt + n_generated,
        prompt_tokens_details=CachedTokens(cached_tokens=timings[0].cached_tokens),
    )
