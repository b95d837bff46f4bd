"""What is told of an answer once it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aboard.engine import Session, Step


def answer_facts(session: Session, steps: Sequence[Step]) -> dict[str, object]:
    """The answer with its tokens, timing and reason to end, for `--json`."""
    timing = session.timing
    return {
        "text": "".join(step.text for step in steps),
        "finish_reason": session.finish_reason,
        **({} if session.complete is None else {"complete": session.complete}),
        "prompt_tokens": timing.prompt_tokens,
        "generated_tokens": timing.generated_tokens,
        "drafted_tokens": timing.drafted_tokens,
        "accepted_tokens": timing.accepted_tokens,
        "first_token_s": timing.first_token_s,
        "prompt_tokens_per_s": timing.prompt_tokens_per_s,
        "decode_tokens_per_s": timing.decode_tokens_per_s,
        "tokens": [
            {"id": step.token, "text": step.text, "logprob": step.logprob} for step in steps
        ],
    }


def cut_note(session: Session, n_steps: int, *, max_tokens: int, context: int) -> str | None:
    """Which limit cut the answer of `n_steps` tokens short, for people; None where none did."""
    unfinished = ", before the answer was whole" if session.complete is False else ""
    if session.finish_reason != "length":
        return f"stopped at a text of --stop{unfinished}" if unfinished else None
    if n_steps == max_tokens:
        return f"stopped after {n_steps:,} tokens, the limit of --max-tokens{unfinished}"
    return f"stopped after {n_steps:,} tokens: the context of {context:,} is full{unfinished}"


def speed_text(tokens_per_s: float | None) -> str:
    """A speed for people."""
    return "-" if tokens_per_s is None else f"{tokens_per_s:,.1f} tokens/s"
