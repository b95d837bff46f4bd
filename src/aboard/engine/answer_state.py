"""One answer under way: what is drawn from logits, what of it is shown, and where it ends.

It knows no session, no cache and no clock but its own: `answer` runs it on one session, the
scheduler on many sequences at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aboard.engine.arguments import checked_integer, is_integer
from aboard.engine.sampling import Sampling
from aboard.engine.stop import StopTexts
from aboard.engine.token_scores import Top, likeliest
from aboard.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain import Constraint

FinishReason = Literal["stop", "length", "cancelled", "timeout"]


@dataclass(frozen=True, slots=True)
class Step:
    """One token of an answer."""

    token: int
    """Its id."""
    text: str
    """Text that became complete with it; empty within a character or a possible stop text."""
    logprob: float | None
    """Natural logarithm of its probability under the raw logits; None unless asked for."""
    top: Top = ()
    """The likeliest tokens in its place, likewise; as many as were asked for."""


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
    cached_tokens: int = 0
    """Those of the prompt whose keys and values came from the prefix cache."""
    drafted_tokens: int = 0
    """Tokens that speculation guessed."""
    accepted_tokens: int = 0
    """Those of them that were right and so needed no pass of their own."""

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Speed of computing the prompt, its cached tokens left out; None without a time."""
        computed = self.prompt_tokens - self.cached_tokens
        return computed / self.prompt_s if self.prompt_s > 0 else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed of answering, the first token left out; None for fewer than two tokens."""
        return (self.generated_tokens - 1) / self.decode_s if self.decode_s > 0 else None


class AnswerState:
    """Where an answer stands.

    Parameters
    ----------
    tokenizer : Tokenizer
        Of the model that answers.
    sampling : Sampling, optional
        Greedy by default.
    max_tokens : int, optional
        At least 1; by default no limit but the context.
    stop : iterable of str
        Texts that end the answer; they are not part of it.
    logprobs : bool
        Whether steps carry a log-probability.
    top_logprobs : int
        Of how many likeliest tokens they carry it, too; from 0 to the vocabulary.
    constraint : Constraint, optional
        Where the answer stands in a grammar that it must keep to.

    Attributes
    ----------
    finish_reason : str or None
        "stop" or "length" once the answer has ended, else None.
    constraint : Constraint or None
        As it was given.
    timing : Timing
        Up to the last token.
    sampling : Sampling
        How tokens are drawn.
    drafted_tokens, accepted_tokens : int
        What speculation has guessed so far, for `timing`.

    Raises
    ------
    UsageError
        An argument is out of its range.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
        stop: Iterable[str] = (),
        logprobs: bool = True,
        top_logprobs: int = 0,
        constraint: Constraint | None = None,
    ) -> None:
        if max_tokens is not None and (not is_integer(max_tokens) or max_tokens < 1):
            raise UsageError(f"max_tokens is {max_tokens!r}, expected an integer from 1")
        if sampling is not None and not isinstance(sampling, Sampling):
            raise UsageError(f"sampling is a {type(sampling).__name__}, expected a Sampling")
        self.finish_reason: FinishReason | None = None
        self.timing = Timing()
        self.sampling = sampling or Sampling()
        self.constraint = constraint
        self.drafted_tokens = self.accepted_tokens = 0
        self._max_tokens = max_tokens
        self._logprobs = logprobs
        self._n_top = checked_integer("top_logprobs", top_logprobs, 0, tokenizer.n_vocabulary)
        self._stop_ids = tokenizer.stop_ids
        self._text = tokenizer.stream(continues=True)
        self._stops = StopTexts(stop)
        self._began = self._prompted = self._first = 0.0
        self._n_prompt = self._n_cached = 0

    @property
    def looks_back(self) -> bool:
        """Whether `take` reads the tokens before it."""
        return self.sampling.looks_back

    @property
    def complete(self) -> bool | None:
        """Whether the answer so far is a whole one of its grammar; None where it has none."""
        return None if self.constraint is None else self.constraint.may_end

    @property
    def stop_text(self) -> str | None:
        """The stop text that ended the answer; None where none did."""
        return self._stops.found

    @property
    def n_left(self) -> int | None:
        """How many tokens may follow; None where only the context limits them."""
        if self._max_tokens is None:
            return None
        return self._max_tokens - self.timing.generated_tokens

    def begin(self) -> None:
        """Note that the computation of the prompt begins."""
        self._began = time.perf_counter()

    def prompted(self, n_tokens: int, *, n_cached: int = 0) -> None:
        """Note that the prompt of `n_tokens` is computed, `n_cached` of them were known."""
        self._prompted = time.perf_counter()
        self._n_prompt, self._n_cached = n_tokens, n_cached

    def take(
        self,
        logits: npt.NDArray[np.float32],
        context: Sequence[int],
        position: int,
        *,
        n_before: int,
        full: bool,
    ) -> Step | None:
        """Draw the token at `position`.

        Parameters
        ----------
        logits : (V,) float32
        context : sequence of int
            The tokens before it; not read unless `looks_back`.
        n_before : int
            How many leading tokens of `context` are not the answer's.
        full : bool
            Whether the context has no room for the token.

        Returns
        -------
        Step or None
            None where the answer ended with nothing left to show. Where `finish_reason` is None
            still, the token is to be processed next.

        Raises
        ------
        GrammarError
            As for `Constraint.allowed`.
        UsageError
            As for `Sampling.draw`.
        """
        drawn = self.sampling.draw(
            logits,
            context,
            position,
            n_prompt=n_before,
            logprob=self._logprobs,
            allowed=None if self.constraint is None else self.constraint.allowed(),
        )
        top = likeliest(logits, self._n_top)
        ended = drawn.token in self._stop_ids
        if self.constraint is not None and not (ended and self.constraint.may_end):
            self.constraint.accept(drawn.token)
        self._note_time(n_more=not ended)
        if ended:
            self.finish_reason = "stop"
            rest = self._rest()
            return Step(drawn.token, rest, drawn.logprob, top) if rest else None
        shown = self._stops.push(self._text.push(drawn.token))
        if self._stops.found is not None:
            self.finish_reason = "stop"
        elif self.constraint is not None and self.constraint.ended:
            self.finish_reason = "stop"
            shown += self._rest()
        elif full or self.timing.generated_tokens == self._max_tokens:
            self.finish_reason = "length"
            shown += self._rest()
        return Step(drawn.token, shown, drawn.logprob, top)

    def _rest(self) -> str:
        """Text that was held back, when nothing follows."""
        return self._stops.push(self._text.finish()) + self._stops.finish()

    def _note_time(self, n_more: int) -> None:
        now = time.perf_counter()
        self._first = self._first or now
        self.timing = Timing(
            self._n_prompt,
            self._prompted - self._began,
            self.timing.generated_tokens + n_more,
            now - self._first,
            self._first - self._began,
            self._n_cached,
            self.drafted_tokens,
            self.accepted_tokens,
        )
