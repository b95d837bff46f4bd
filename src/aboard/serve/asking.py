"""What routes that ask for answers share, on the way to the scheduler and back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.responses import Response

from aboard.serve.endpoint import Call, json_response
from aboard.serve.event_stream import EventStream, Named, StreamForm
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.engine import Sampling
    from aboard.serve.answers import Answers
    from aboard.serve.limits import Limits
    from aboard.serve.served import ServedModel

_SEEDS = 1 << 64


def seeded(sampling: Sampling, first: int | None, n: int) -> list[Sampling]:
    """How `n` answers are drawn: with seeds from `first` on, or from any."""
    first = secrets.randbits(63) if first is None else first
    return [replace(sampling, seed=(first + i) % _SEEDS) for i in range(n)]


def require_few(limits: Limits, n_answers: int, param: str = "n") -> None:
    """Refuse more answers than could ever be computed or wait; `param` asks for so many.

    Raises
    ------
    Refusal
        There are more.
    """
    most = limits.max_sequences + limits.max_waiting
    if n_answers > most:
        raise Refusal(
            400,
            f"{n_answers} answers are asked for, expected at most {most}",
            code="invalid_value",
            param=param,
        )


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
    if max_tokens and max_tokens == served.defaults.sampling.get("max_tokens"):
        wanted += ", as by default here: ask for fewer"
    raise Refusal(
        400,
        f"{served.name} has a context of {context} tokens; the prompt has {n_prompt}{wanted}",
        code="context_length_exceeded",
        param=param,
    )


async def response_to(
    call: Call[Any],
    answers: Answers,
    *,
    whole: Callable[[], Awaitable[BaseModel]],
    events: Callable[[], AsyncGenerator[BaseModel | Named | str]],
    stream: bool,
    form: StreamForm | None = None,
) -> Response:
    """The answers, all at once or as they come.

    Parameters
    ----------
    call : Call
        The request.
    answers : Answers
        Closed at the end, whatever it is.
    whole, events : callable
        Write them down, in either way.
    stream : bool
        Which of the two is asked for.
    form : StreamForm, optional
        How a stream ends; by default as the cloud API ends its completions.

    Raises
    ------
    Refusal
        An answer failed before anything was sent.
    """
    if stream:
        await answers.begun()
        return EventStream(events(), holds=answers, form=form)
    with answers:
        return json_response(await whole())
