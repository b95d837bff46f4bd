"""Speculation: tokens guessed ahead and verified several at a time. It changes no token.

A drafter guesses how the answer goes on; the model processes the guess in one pass, which reads the
weights once. Every token is then drawn from its own logits exactly as without a guess, so a wrong
one costs time and nothing else (arXiv:2211.17192 without its rejection rule, which the numerics
contract makes needless: the logits of a token don't depend on what shares its pass).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aboard.constrain import Constraint
    from aboard.engine.sampling import Sampling
    from aboard.engine.session import Session

MAX_DRAFT = 15
"""Tokens guessed at most: with the token before them a pass of 16, two tiles of the kernels."""

DRAFT_COST = (0.25, 0.3)
"""What a guess adds to a pass, until measured, and what each of its tokens: in passes of one token.

SmolLM2-135M as shipped, AVX2 (Zen 3), 2 threads: a pass of 2 tokens takes 1.5 times as long as one
of 1 token, of 4 2.0 to 2.4, of 8 2.9 to 3.3, of 16 5.4 to 6.1, of 32 10 to 10.8
(bench/speculation.py --cost). Where memory is what limits a pass, on faster arithmetic or with
larger models, it is less.
"""

_WORTH = 1.05
"""Times faster a guess must promise to be; below, what is expected is within the noise."""


Cost = Callable[[int], float]
"""What verifying a guess of so many tokens adds to a pass, in passes of one token."""


@runtime_checkable
class Drafter(Protocol):
    """What guesses tokens. One drafter serves one answer at a time."""

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        """An answer begins after `tokens`, its tokens drawn by `sampling`."""

    def push(self, token: int) -> None:
        """`token` was drawn and is the next of the sequence."""

    def propose(self, limit: int, cost: Cost) -> Sequence[int]:
        """Up to `limit` tokens that may come next; none where a guess isn't worth its cost."""


def worthwhile(chances: Iterable[float], cost: Cost) -> int:
    """How many tokens to guess for the highest speed; 0 where guessing isn't worth it.

    `chances`: for each token, that it is right if those before it are.
    """
    reached, tokens = 1.0, 1.0
    best, best_speed = 0, _WORTH
    for n, chance in enumerate(chances, start=1):
        reached *= chance
        tokens += reached
        speed = tokens / (1.0 + cost(n))
        if speed > best_speed:
            best, best_speed = n, speed
    return best


class Speculation:
    """The passes of one answer: each of one token, or of a token and a guess.

    Parameters
    ----------
    session : Session
        Holds the prompt.
    drafter : Drafter
        Begins the answer here.
    sampling : Sampling
        How tokens are drawn.
    constraint : Constraint, optional
        What of a guess it doesn't allow isn't processed.

    Attributes
    ----------
    drafted, accepted : int
        Tokens guessed and, of those, tokens that needed no pass of their own.
    """

    def __init__(
        self,
        session: Session,
        drafter: Drafter,
        sampling: Sampling,
        constraint: Constraint | None = None,
    ) -> None:
        self.drafted = 0
        self.accepted = 0
        self._session = session
        self._drafter = drafter
        self._constraint = constraint
        self._cost = _DraftCost()
        drafter.begin(session.tokens, sampling)

    def decode(self, token: int, room: int) -> npt.NDArray[np.float32]:
        """The logits after `token`, (V,) float32; `room`: how many may still be drawn after it."""
        self._drafter.push(token)
        if self._session.foresees(token):
            self.accepted += 1
            return self._session.decode(token)
        draft: Sequence[int] = ()
        limit = min(room - 1, MAX_DRAFT, self._session.capacity - self._session.n_tokens - 1)
        if limit > 0:
            draft = self._drafter.propose(limit, self._cost.of)[:limit]
            if self._constraint is not None:
                draft = draft[: self._constraint.may_follow(draft)]
            self.drafted += len(draft)
        began = time.perf_counter()
        logits = self._session.decode(token, draft=draft)
        self._cost.learn(len(draft), time.perf_counter() - began)
        return logits


class _DraftCost:
    """What a guess adds to a pass here: it depends on the CPU, the model and the threads.

    A pass disturbed by other programs must not end all guessing, so what was measured fades.
    """

    def __init__(self) -> None:
        self._scale = 1.0
        self._alone_s = 0.0

    def of(self, n_drafted: int) -> float:
        """See `Cost`."""
        return self._scale * (DRAFT_COST[0] + DRAFT_COST[1] * n_drafted)

    def learn(self, n_drafted: int, pass_s: float) -> None:
        """A pass of one token and `n_drafted` others took `pass_s` seconds."""
        if not n_drafted:
            self._alone_s += (pass_s - self._alone_s) * (0.125 if self._alone_s else 1.0)
            self._scale += (1.0 - self._scale) / 64
        elif self._alone_s:
            usual = DRAFT_COST[0] + DRAFT_COST[1] * n_drafted
            measured = (pass_s / self._alone_s - 1) / usual
            self._scale += (min(max(measured, 0.1), 4.0) - self._scale) / 4
