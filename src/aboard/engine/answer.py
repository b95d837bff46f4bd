"""An answer: tokens drawn one after the other, their text, and why they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aboard.engine.speculation import Speculation
from aboard.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aboard.checkpoint.tokenizer import StreamDecoder
    from aboard.engine.sampling import Sampling
    from aboard.engine.session import Session
    from aboard.engine.speculation import Drafter
    from aboard.engine.stop import StopTexts


@dataclass(frozen=True, slots=True)
class Step:
    """One token of an answer."""

    token: int
    """Its id."""
    text: str
    """Text that became complete with it; empty within a character or a possible stop text."""
    logprob: float | None
    """Natural logarithm of its probability under the raw logits; None unless asked for."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the last answer took, in seconds."""

    prompt_tokens: int = 0
    prompt_s: float = 0.0
    generated_tokens: int = 0
    decode_s: float = 0.0
    """From the first generated token to the last."""
    first_token_s: float = 0.0
    """From the start of the prompt to the first generated token."""
    drafted_tokens: int = 0
    """Tokens that speculation guessed."""
    accepted_tokens: int = 0
    """Those of them that were right and so needed no pass of their own."""

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Speed of reading the prompt; None where no time was measured."""
        return self.prompt_tokens / self.prompt_s if self.prompt_s > 0 else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed of answering, the first token left out; None for fewer than two tokens."""
        return (self.generated_tokens - 1) / self.decode_s if self.decode_s > 0 else None


def answer(
    session: Session,
    turn: int,
    held: int,
    prompt: npt.NDArray[np.int32],
    sampling: Sampling,
    max_tokens: int | None,
    text: StreamDecoder,
    stops: StopTexts,
    logprobs: bool,
    drafter: Drafter | None,
) -> Iterator[Step]:
    """Yield the answer to `prompt`; what `Session.generate` does, its arguments checked.

    `turn` and `held`: the session's turn and number of tokens when the answer was asked for.
    """
    stop_ids = session.model.tokenizer.stop_ids
    _require_own(session, turn, held)
    began = time.perf_counter()
    logits = session.prefill(prompt)
    prompted = time.perf_counter()
    n_prompt = session.n_tokens
    first = 0.0
    generated = 0
    speculation: Speculation | None = None
    while True:
        context = session.tokens if sampling.looks_back else ()
        drawn = sampling.draw(
            logits, context, session.n_tokens, n_prompt=n_prompt, logprob=logprobs
        )
        now = time.perf_counter()
        first = first or now
        ended = drawn.token in stop_ids
        generated += not ended
        session.timing = Timing(
            prompt.size,
            prompted - began,
            generated,
            now - first,
            first - began,
            speculation.drafted if speculation else 0,
            speculation.accepted if speculation else 0,
        )
        if ended:
            session.finish_reason = "stop"
            rest = stops.push(text.finish()) + stops.finish()
            if rest:
                yield Step(drawn.token, rest, drawn.logprob)
            return
        shown = stops.push(text.push(drawn.token))
        full = generated == max_tokens or session.n_tokens == session.capacity
        if stops.found or full:
            session.finish_reason = "stop" if stops.found else "length"
            if not stops.found:
                shown += stops.push(text.finish()) + stops.finish()
            yield Step(drawn.token, shown, drawn.logprob)
            return
        held = session.n_tokens
        yield Step(drawn.token, shown, drawn.logprob)
        _require_own(session, turn, held)
        if drafter is None:
            logits = session.decode(drawn.token)
            continue
        speculation = speculation or Speculation(session, drafter, sampling)
        room = session.capacity if max_tokens is None else max_tokens - generated
        logits = speculation.decode(drawn.token, room)


def _require_own(session: Session, turn: int, n_tokens: int) -> None:
    """Refuse to go on where something else happened to the session meanwhile."""
    if session.turn != turn or session.n_tokens != n_tokens:
        raise UsageError(
            "the session was used for something else before this answer ended",
            hint="Take an answer to its end, or give it up, before the next.",
        )
