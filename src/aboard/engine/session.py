"""A session: one sequence of tokens, its KV cache, and the answers drawn from it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.engine.sampling import Sampling
from aboard.engine.stop import StopTexts
from aboard.errors import ContextOverflow, UsageError

if TYPE_CHECKING:
    from aboard._native import KvCache
    from aboard.checkpoint.tokenizer import StreamDecoder
    from aboard.engine.model import Model

PROMPT_CHUNK = 128
"""Tokens of a prompt that are processed together. It decides the speed and no bit of a result."""


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

    @property
    def prompt_tokens_per_s(self) -> float | None:
        """Speed of reading the prompt; None where no time was measured."""
        return self.prompt_tokens / self.prompt_s if self.prompt_s > 0 else None

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Speed of answering, the first token left out; None for fewer than two tokens."""
        return (self.generated_tokens - 1) / self.decode_s if self.decode_s > 0 else None


class Session:
    """A KV cache on a model; made by `Model.session`. Also a context manager.

    One thread at a time may use a session; several sessions of a model may be used by several
    threads, and their computations take turns.

    Attributes
    ----------
    model : Model
        The model it runs on.
    finish_reason : str or None
        Why the last answer ended: "stop" (the model or a stop text), "length" (`max_tokens` or the
        end of the context); None while it is under way or was abandoned.
    timing : Timing
        Of the last answer.
    """

    def __init__(self, model: Model, cache: KvCache) -> None:
        self.model = model
        self.finish_reason: str | None = None
        self.timing = Timing()
        self._cache: KvCache | None = cache
        self._tokens: list[int] = []

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens whose keys and values are held."""
        return tuple(self._tokens)

    @property
    def n_tokens(self) -> int:
        """How many they are."""
        return len(self._tokens)

    @property
    def cache(self) -> KvCache:
        """The native KV cache, holding the keys and values of `tokens` and of nothing else.

        Raises
        ------
        UsageError
            The session is closed.
        """
        if self._cache is None:
            raise UsageError("the session is closed", hint="Make another: `model.session()`.")
        # Ctrl-C arrives as soon as a computation is over, before its tokens are noted down here.
        self._cache.truncate(len(self._tokens))
        return self._cache

    def close(self) -> None:
        """Give the KV cache's memory back; the session can't be used afterwards."""
        self._cache = None
        self._tokens = []

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reset(self) -> None:
        """Forget all tokens."""
        self.rewind(0)

    def rewind(self, n_tokens: int) -> None:
        """Forget all tokens from index `n_tokens` on.

        Raises
        ------
        UsageError
            There are fewer tokens than that.
        """
        if not _is_integer(n_tokens) or not 0 <= n_tokens <= self.n_tokens:
            raise UsageError(f"can't rewind to {n_tokens!r} tokens: there are {self.n_tokens}")
        cache = self.cache
        del self._tokens[n_tokens:]
        cache.truncate(int(n_tokens))

    def prefill(
        self, tokens: Iterable[int], *, chunk: int = PROMPT_CHUNK
    ) -> npt.NDArray[np.float32]:
        """Process `tokens` and return the logits after the last one.

        Parameters
        ----------
        tokens : iterable of int
            At least one.
        chunk : int
            How many to process together; the logits don't depend on it.

        Returns
        -------
        (V,) float32

        Raises
        ------
        ContextOverflow
            They don't fit the context; nothing was processed.
        UsageError
            There are none, or one is not in the vocabulary.
        """
        if not _is_integer(chunk) or chunk < 1:
            raise UsageError(f"chunk is {chunk!r}, expected an integer from 1")
        pending = self._checked_new(tokens)
        rows = np.empty((0, 0), np.float32)
        for first in range(0, pending.size, chunk):
            part = pending[first : first + chunk]
            wanted = [part.size - 1] if first + chunk >= pending.size else []
            rows = self._forward(part, wanted)
        logits: npt.NDArray[np.float32] = rows[0]
        return logits

    def decode(self, token: int) -> npt.NDArray[np.float32]:
        """Process one token and return the logits after it, (V,) float32.

        Raises
        ------
        ContextOverflow
            The context is full.
        UsageError
            The token is not in the vocabulary.
        """
        return self.prefill((token,))

    def logits(self, tokens: Iterable[int]) -> npt.NDArray[np.float32]:
        """Process `tokens` and return the logits after each, (T, V) float32.

        Raises
        ------
        ContextOverflow, UsageError
            As for `prefill`.
        """
        pending = self._checked_new(tokens)
        logits = np.empty((pending.size, self.model.config.n_vocabulary), np.float32)
        for first in range(0, pending.size, PROMPT_CHUNK):
            part = pending[first : first + PROMPT_CHUNK]
            logits[first : first + part.size] = self._forward(part, range(part.size))
        return logits

    @staticmethod
    def step_together(
        sessions: Sequence[Session], tokens: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        """What `Model.decode_together` does, its arguments checked."""
        for session in sessions:
            session._require_room(1)
        caches = [session.cache for session in sessions]
        logits = sessions[0].model.decoder.forward(tokens, caches, range(len(sessions)))
        for session, token in zip(sessions, tokens.tolist(), strict=True):
            session._tokens.append(token)
        return logits

    def generate(
        self,
        tokens: Iterable[int],
        *,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
        stop: Iterable[str] = (),
        logprobs: bool = True,
    ) -> Iterator[Step]:
        """Process `tokens`, then yield an answer token by token.

        Parameters
        ----------
        tokens : iterable of int
            What comes after `Session.tokens`; at least one. The last token of an answer that ended
            by "length" or by a stop text is not among those yet.
        sampling : Sampling, optional
            Greedy by default.
        max_tokens : int, optional
            At least 1; by default as many as the context holds.
        stop : iterable of str
            Texts that end the answer; they are not part of it.
        logprobs : bool
            Whether steps carry a log-probability.

        Yields
        ------
        Step
            The token by which the model ends its answer is yielded only where there is text that
            was held back until then.

        Raises
        ------
        ContextOverflow
            `tokens` don't fit the context; nothing was processed.
        TokenizerError
            The model has no tokenizer.
        UsageError
            An argument is out of its range.
        """
        if max_tokens is not None and (not _is_integer(max_tokens) or max_tokens < 1):
            raise UsageError(f"max_tokens is {max_tokens!r}, expected an integer from 1")
        if sampling is not None and not isinstance(sampling, Sampling):
            raise UsageError(f"sampling is a {type(sampling).__name__}, expected a Sampling")
        pending = self._checked_new(tokens)
        text = self.model.tokenizer.stream(continues=True)
        stops = StopTexts(stop)
        self.finish_reason, self.timing = None, Timing()
        return self._answer(pending, sampling or Sampling(), max_tokens, text, stops, logprobs)

    def _answer(
        self,
        prompt: npt.NDArray[np.int32],
        sampling: Sampling,
        max_tokens: int | None,
        text: StreamDecoder,
        stops: StopTexts,
        logprobs: bool,
    ) -> Iterator[Step]:
        stop_ids = self.model.tokenizer.stop_ids
        began = time.perf_counter()
        logits = self.prefill(prompt)
        prompted = time.perf_counter()
        n_prompt = self.n_tokens
        first = 0.0
        generated = 0
        while True:
            context = self._tokens if sampling.looks_back else ()
            drawn = sampling.draw(
                logits, context, self.n_tokens, n_prompt=n_prompt, logprob=logprobs
            )
            now = time.perf_counter()
            first = first or now
            ended = drawn.token in stop_ids
            generated += not ended
            self.timing = Timing(
                prompt.size, prompted - began, generated, now - first, first - began
            )
            if ended:
                self.finish_reason = "stop"
                rest = stops.push(text.finish()) + stops.finish()
                if rest:
                    yield Step(drawn.token, rest, drawn.logprob)
                return
            shown = stops.push(text.push(drawn.token))
            full = generated == max_tokens or self.n_tokens == self.cache.capacity
            if stops.found or full:
                self.finish_reason = "stop" if stops.found else "length"
                if not stops.found:
                    shown += stops.push(text.finish()) + stops.finish()
                yield Step(drawn.token, shown, drawn.logprob)
                return
            yield Step(drawn.token, shown, drawn.logprob)
            logits = self.decode(drawn.token)

    def save(self, path: str | Path) -> None:
        """Write tokens, keys and values to the file `path`, whole or not at all.

        Raises
        ------
        UsageError
            The file can't be written.
        """
        from aboard.engine.snapshot import save_session

        save_session(self, Path(path))

    def restore(self, path: str | Path) -> None:
        """Take over the state that `save` wrote; what the session held is forgotten.

        Raises
        ------
        SessionMismatch
            The file is damaged, or belongs to other weights or another numerics version.
        ContextOverflow
            It holds more tokens than the context.
        UsageError
            The file can't be read.
        """
        from aboard.engine.snapshot import restore_session

        restore_session(self, Path(path))

    def adopt(self, tokens: Sequence[int]) -> None:
        """Take `tokens` for those whose keys and values the cache already holds.

        Raises
        ------
        UsageError
            The cache holds another number of tokens.
        """
        held = 0 if self._cache is None else self._cache.size
        if len(tokens) != held:
            raise UsageError(f"{len(tokens)} tokens for a cache of {held}")
        self._tokens = list(tokens)

    def _checked_new(self, tokens: Iterable[int]) -> npt.NDArray[np.int32]:
        """`tokens` as (T,) int32: at least one, and there is room for them."""
        pending = self.model.checked_tokens(tokens)
        if not pending.size:
            raise UsageError("there are no tokens to process")
        self._require_room(pending.size)
        return pending

    def _forward(
        self, tokens: npt.NDArray[np.int32], wanted: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        logits = self.model.decoder.forward(tokens, [self.cache], wanted)
        self._tokens += tokens.tolist()
        return logits

    def _require_room(self, n_more: int) -> None:
        if self.n_tokens + n_more > self.cache.capacity:
            raise ContextOverflow(
                f"{self.n_tokens + n_more} tokens, the context holds {self.cache.capacity}",
                hint="Shorten the text, or load the model with a longer context if it has one.",
            )


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
