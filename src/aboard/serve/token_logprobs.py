"""Log-probabilities of an answer's tokens, in the words of the cloud API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aboard.serve.given import Given
from aboard.serve.spoken import Said, written


class TokenAlternative(Given):
    """A token that was likely."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TokenAlternative):
    """A token of the answer."""

    top_logprobs: list[TokenAlternative]


def logprob_of(said: Said, piece: Callable[[int], bytes]) -> TokenLogprob:
    """Of a token; `piece` gives the bytes of any."""

    def named(token: int, logprob: float | None) -> dict[str, Any]:
        data = piece(token)
        return {"token": written(data), "logprob": logprob, "bytes": list(data)}

    step = said.step
    likely = [TokenAlternative(**named(*each)) for each in step.top]
    return TokenLogprob(**named(step.token, step.logprob), top_logprobs=likely)
