"""How the next token is chosen from a row of logits: `Sampling` and what it draws.

The steps, in this order; each is off at its default:

0. tokens that a grammar doesn't allow are masked
1. logit bias, added to the logit; -infinity forbids the token
2. repetition penalty, every token of the context once: `l < 0 ? l * r : l / r` (arXiv:1909.05858)
3. frequency and presence penalty, on the tokens generated so far (not the prompt's):
   `l - count * frequency - (count > 0) * presence`, as in the OpenAI API
4. temperature: 0 takes the highest logit, else `w = exp((l - max) / temperature)`
5. top-k: exactly the k highest
6. top-p: of those, the fewest highest whose weights reach `top_p` of their sum, at least one
7. min-p: weights of at least `min_p` times the highest
8. draw, walking over the tokens that are left in order of their ids

Equal logits rank by the lower token id, in every step. Hugging Face transformers has the same order
and formulas, but keeps all tokens that tie with the k-th. llama.cpp takes the temperature last, so
that top-p and min-p see the untempered weights, and counts the prompt in step 3.

The random number of a draw is Philox4x32-10 of (seed, position) and of nothing else; weights are
integers (42-bit fixed point). So a draw doesn't depend on the CPU, on the threads, on draws before
it, or on whether a session was restarted. Tokens below 2^-43 of the highest weight are never drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from aboard.engine.arguments import checked_integer
from aboard.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INT32_MAX = 2**31 - 1
_UINT64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Draw:
    """One token, as chosen."""

    token: int
    """Its id."""
    logprob: float | None
    """Natural logarithm of its probability under the raw logits (no penalty, no temperature), a
    float32 value; None where it was not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen; the defaults are greedy decoding.

    Parameters
    ----------
    temperature : float
        0 takes the most likely token; from 0, finite.
    top_k : int
        Keep the k most likely tokens; 0 is off.
    top_p : float
        Keep the most likely tokens that hold this share of the probability; 0 to 1, 1 is off.
    min_p : float
        Keep tokens at least this share as likely as the most likely one; 0 to 1, 0 is off.
    repetition_penalty : float
        Makes every token of prompt and answer less likely; above 0, 1 is off.
    presence_penalty, frequency_penalty : float
        Taken off the logits of the answer's tokens, once or for each time; -2 to 2, 0 is off.
    seed : int
        Names the sequence of random numbers; 0 to 2^64 - 1.
    logit_bias : mapping of int to float, optional
        Added to the logits of these token ids; finite, or -infinity to forbid a token.

    Raises
    ------
    UsageError
        A value is of another type or out of its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature, 0.0, math.inf, "a finite number from 0")
        checked_integer("top_k", self.top_k, 0, _INT32_MAX)
        _check_number("top_p", self.top_p, 0.0, 1.0, "0 to 1")
        _check_number("min_p", self.min_p, 0.0, 1.0, "0 to 1")
        _check_number("repetition_penalty", self.repetition_penalty, 0.0, math.inf, "above 0")
        if self.repetition_penalty == 0:
            raise UsageError("repetition_penalty is 0, expected above 0", hint="1 switches it off.")
        _check_number("presence_penalty", self.presence_penalty, -2.0, 2.0, "-2 to 2")
        _check_number("frequency_penalty", self.frequency_penalty, -2.0, 2.0, "-2 to 2")
        checked_integer("seed", self.seed, 0, _UINT64_MAX)
        if self.logit_bias is not None:
            _check_bias(self.logit_bias)
            object.__setattr__(self, "logit_bias", dict(self.logit_bias))

    @property
    def looks_back(self) -> bool:
        """Whether a draw depends on the tokens before it (a penalty is on)."""
        return (
            self.repetition_penalty != 1
            or self.presence_penalty != 0
            or self.frequency_penalty != 0
        )

    def draw(
        self,
        logits: NDArray[np.float32],
        context: Sequence[int] | NDArray[np.int32] = (),
        position: int = 0,
        *,
        n_prompt: int = 0,
        logprob: bool = True,
        allowed: NDArray[np.uint32] | None = None,
    ) -> Draw:
        """Choose the token at `position`.

        Parameters
        ----------
        logits : (V,) float32
            -infinity masks a token; +infinity leaves no probability to finite logits.
        context : (T,) int
            The tokens before it, prompt first. Not read unless a penalty is on.
        position : int
            Its index in the sequence, the prompt included: with the seed, the random number's name.
        n_prompt : int
            How many leading tokens of `context` are the prompt's.
        logprob : bool
            Whether to compute the log-probability (one exp per token of the vocabulary).
        allowed : (ceil(V / 32),) uint32, optional
            The tokens to choose from, as `Constraint.allowed` gives them; by default all.

        Returns
        -------
        Draw
            The token and its log-probability.

        Raises
        ------
        UsageError
            A logit is NaN, all are masked, or an argument is of the wrong type or range.
        """
        checked_integer("position", position, 0, _UINT64_MAX)
        checked_integer("n_prompt", n_prompt, 0, _UINT64_MAX)
        seen = _as_tokens(context if self.looks_back else ())
        from aboard import _native

        try:
            token, value = _native.sample(
                _as_row(logits),
                temperature=float(self.temperature),
                top_k=int(self.top_k),
                top_p=float(self.top_p),
                min_p=float(self.min_p),
                repetition_penalty=float(self.repetition_penalty),
                presence_penalty=float(self.presence_penalty),
                frequency_penalty=float(self.frequency_penalty),
                seed=int(self.seed),
                position=int(position),
                context=seen,
                logit_bias=_as_arrays(self.logit_bias),
                n_prompt=int(n_prompt),
                logprob=logprob,
                allowed=allowed,
            )
        except ValueError as error:
            raise UsageError(f"can't choose token {position}: {error}") from None
        return Draw(token, value if logprob else None)


def top_logprobs(
    logits: NDArray[np.float32], n: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `n` most likely tokens and their log-probabilities, the most likely first.

    Parameters
    ----------
    logits : (V,) float32
        Raw logits; of equal ones the lower id comes first.
    n : int
        0 to V.

    Returns
    -------
    tokens : (n,) int32
    logprobs : (n,) float32
        Natural logarithms of the softmax.

    Raises
    ------
    UsageError
        A logit is NaN, all are -infinity, or `n` is more than there are.
    """
    checked_integer("n", n, 0, _INT32_MAX)
    from aboard import _native

    try:
        tokens, logprobs = _native.top_logprobs(_as_row(logits), int(n))
    except ValueError as error:
        raise UsageError(f"can't rank tokens: {error}") from None
    return tokens, logprobs


def _check_number(name: str, value: Any, low: float, high: float, expected: str) -> None:
    sound = isinstance(value, Real) and not isinstance(value, bool)
    if not sound or not low <= value <= high or not math.isfinite(value):
        raise UsageError(f"{name} is {value!r}, expected {expected}")


def _check_bias(bias: Any) -> None:
    if not isinstance(bias, Mapping):
        raise UsageError(f"logit_bias is a {type(bias).__name__}, expected a mapping of token ids")
    for token, value in bias.items():
        checked_integer("a token id in logit_bias", token, 0, _INT32_MAX)
        if value != -math.inf:
            name = f"logit_bias of token {token}"
            _check_number(name, value, -math.inf, math.inf, "a finite number or -infinity")


def _as_row(logits: Any) -> NDArray[np.float32]:
    if not isinstance(logits, np.ndarray) or logits.ndim != 1 or logits.dtype != np.float32:
        found = (
            f"{logits.shape} {logits.dtype}"
            if isinstance(logits, np.ndarray)
            else type(logits).__name__
        )
        raise UsageError(
            f"logits are {found}, expected one row, (V,) float32",
            hint="Take one row of what the model returns, `logits[-1]` for the next token.",
        )
    return np.ascontiguousarray(logits)


def _as_tokens(context: Any) -> NDArray[np.int32]:
    try:
        tokens = np.asarray(context if len(context) else np.zeros(0, np.int32))
    except (TypeError, ValueError):
        raise UsageError(f"context is {context!r:.80}, expected (T,) token ids") from None
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise UsageError(f"context is {tokens.shape} {tokens.dtype}, expected (T,) token ids")
    if tokens.size and (tokens.min() < 0 or tokens.max() > _INT32_MAX):
        raise UsageError(f"context holds {tokens.min()} to {tokens.max()}, expected token ids")
    return np.ascontiguousarray(tokens, dtype=np.int32)


def _as_arrays(
    bias: Mapping[int, float] | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]] | None:
    if not bias:
        return None
    return np.array(list(bias), np.int32), np.array(list(bias.values()), np.float64)
