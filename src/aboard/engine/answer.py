"""An answer: tokens drawn one after the other, their text, and why they ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aboard.engine.answer_state import AnswerState, Step
from aboard.engine.speculation import Speculation
from aboard.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aboard.engine.session import Session
    from aboard.engine.speculation import Drafter


def answer(
    session: Session,
    turn: int,
    held: int,
    prompt: npt.NDArray[np.int32],
    state: AnswerState,
    drafter: Drafter | None,
) -> Iterator[Step]:
    """Yield the answer to `prompt`; what `Session.generate` does, its arguments checked.

    `turn` and `held`: the session's turn and number of tokens when the answer was asked for.
    """
    _require_own(session, turn, held)
    state.begin()
    logits = session.prefill(prompt)
    state.prompted(prompt.size, n_cached=session.cached_tokens)
    n_before = session.n_tokens
    speculation: Speculation | None = None
    while True:
        step = state.take(
            logits,
            session.tokens if state.looks_back else (),
            session.n_tokens,
            n_before=n_before,
            full=session.n_tokens == session.capacity,
        )
        session.timing, session.finish_reason = state.timing, state.finish_reason
        session.complete = state.complete
        held = session.n_tokens
        if step is not None:
            yield step
        if step is None or state.finish_reason is not None:
            session.remember()
            return
        _require_own(session, turn, held)
        if drafter is None:
            logits = session.decode(step.token)
            continue
        speculation = speculation or Speculation(session, drafter, state.sampling, state.constraint)
        logits = speculation.decode(step.token, state.n_left or session.capacity)
        state.drafted_tokens, state.accepted_tokens = speculation.drafted, speculation.accepted


def _require_own(session: Session, turn: int, n_tokens: int) -> None:
    """Refuse to go on where something else happened to the session meanwhile."""
    if session.turn != turn or session.n_tokens != n_tokens:
        raise UsageError(
            "the session was used for something else before this answer ended",
            hint="Take an answer to its end, or give it up, before the next.",
        )
