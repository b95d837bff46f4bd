"""How much of a prompt a step takes, so that it doesn't take too long.

A request that is cancelled, or comes, waits for the end of the step under way. Prompts in small
slices are hardly slower than in large ones (`PROMPT_SLICE`), and no token depends on it.
"""

from __future__ import annotations

LEAST = 16
"""Tokens of a prompt that a step takes at least: fewer would make it slower by half."""

_WEIGHT = 0.5  # of the last step: a machine's speed changes with what else it does


class Pace:
    """Learns how long tokens of prompts take.

    Parameters
    ----------
    step_s : float, optional
        Seconds that a step should take at most; None: any time.
    """

    def __init__(self, step_s: float | None) -> None:
        self._step_s = step_s
        self._token_s: float | None = None

    def most(self, n_tokens: int) -> int:
        """How many of `n_tokens` to take in the next step."""
        if self._step_s is None or self._token_s is None:
            return n_tokens
        return min(n_tokens, max(LEAST, int(self._step_s / self._token_s)))

    def note(self, n_tokens: int, elapsed_s: float) -> None:
        """A step of `n_tokens` took so many seconds; the few of answers alone tell nothing."""
        if self._step_s is None or n_tokens < LEAST:
            return
        last = elapsed_s / n_tokens
        before = last if self._token_s is None else self._token_s
        self._token_s = max(_WEIGHT * last + (1 - _WEIGHT) * before, 1e-9)
