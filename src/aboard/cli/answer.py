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
        "prompt_tokens": timing.prompt_tokens,
        "generated_tokens": timing.generated_tokens,
        "first_token_s": timing.first_token_s,
        "prompt_tokens_per_s": rate(timing.prompt_tokens, timing.prompt_s),
        "decode_tokens_per_s": rate(timing.generated_tokens, timing.decode_s),
        "tokens": [
            {"id": step.token, "text": step.text, "logprob": step.logprob} for step in steps
        ],
    }


def rate(n_tokens: int, elapsed_s: float) -> float | None:
    """Tokens per second; none where no time was measured."""
    return n_tokens / elapsed_s if elapsed_s > 0 else None


def rate_text(n_tokens: int, elapsed_s: float) -> str:
    """The same, for people."""
    value = rate(n_tokens, elapsed_s)
    return "-" if value is None else f"{value:,.1f} tokens/s"
