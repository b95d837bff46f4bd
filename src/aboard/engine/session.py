"""A session: one sequence of tokens, its KV cache, and the answers drawn from it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.closing import Closing
from aboard.engine.answer import answer
from aboard.engine.answer_state import AnswerState, FinishReason, Step, Timing
from aboard.engine.arguments import is_integer, require_room
from aboard.engine.forward_pass import compute, compute_unchecked, require_finite
from aboard.engine.sampling import Sampling
from aboard.engine.speculation_choice import checked_drafter
from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard._native import KvCache
    from aboard.constrain import Grammar
    from aboard.engine.model import Model
    from aboard.engine.prefix import PrefixCache
    from aboard.engine.speculation import Drafter

PROMPT_CHUNK = 128
"""Tokens of a prompt that are processed together. It decides the speed and no bit of a result."""


class Session(Closing):
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
    complete : bool or None
        Whether the last answer, so far, is a whole one of its grammar: a stop text may cut it, too.
        None where it has no grammar.
    timing : Timing
        Of the last answer.
    capacity : int
        Tokens it can hold.
    cached_tokens : int
        Of the tokens of the last `prefill`, those that came from the prefix cache.
    """

    def __init__(
        self, model: Model, cache: KvCache, prefix_cache: PrefixCache | None = None
    ) -> None:
        self.model = model
        self.finish_reason: FinishReason | None = None
        self.complete: bool | None = None
        self.timing = Timing()
        self.cached_tokens = 0
        self._cache: KvCache | None = cache
        self._prefix_cache = prefix_cache
        self.capacity = cache.capacity
        self._tokens: list[int] = []
        # What the cache holds beyond `_tokens`: a guess of `decode`, with the logits after each.
        self._ahead: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
        self._turn = 0
        self._busy = threading.RLock()

    def __copy__(self) -> Session:
        raise UsageError("a session can't be copied", hint="`save` it and `restore` another.")

    @property
    def turn(self) -> int:
        """Counts answers begun and rewinds: an answer ends where it is no longer its own."""
        return self._turn

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
        cache = self._kept(self._open())
        if cache.size < len(self._tokens):
            again = np.array(self._tokens[cache.size :], np.int32)
            compute_unchecked(self.model, again, [cache], ())
        return cache

    def _open(self) -> KvCache:
        if self._cache is None:
            raise UsageError("the session is closed", hint="Make another: `model.session()`.")
        return self._cache

    def _kept(self, cache: KvCache) -> KvCache:
        """The cache with nothing else than `tokens`, of which it may lack the last.

        Models with convolutions can't go on everywhere within a chunk.
        """
        # Ctrl-C arrives as soon as a computation is over, before its tokens are noted down here.
        self._ahead.clear()
        cache.truncate(len(self._tokens))
        return cache

    def close(self) -> None:
        """Give the KV cache's memory back; the session can't be used afterwards."""
        if self._cache is not None:
            self.remember()
        self._cache = None
        self._tokens = []
        self._ahead.clear()

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
        if not is_integer(n_tokens) or not 0 <= n_tokens <= self.n_tokens:
            raise UsageError(f"can't rewind to {n_tokens!r} tokens: there are {self.n_tokens}")
        with self._alone():
            cache = self._open()
            del self._tokens[n_tokens:]
            self._kept(cache)
            self._turn += 1

    def remember(self) -> None:
        """Hand what is held to the prefix cache, if the session was made with it."""
        if self._prefix_cache is not None:
            self._prefix_cache.keep(self._kept(self._open()), self._tokens)

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
        if not is_integer(chunk) or chunk < 1:
            raise UsageError(f"chunk is {chunk!r}, expected an integer from 1")
        rows = np.empty((0, 0), np.float32)
        with self._alone():
            pending = self._beyond_known(self._checked_new(tokens))
            for first in range(0, pending.size, chunk):
                part = pending[first : first + chunk]
                wanted = [part.size - 1] if first + chunk >= pending.size else []
                rows = self._forward(part, wanted)
            if pending.size > 1:
                self.remember()
        logits: npt.NDArray[np.float32] = rows[0]
        return logits

    def decode(self, token: int, *, draft: Sequence[int] = ()) -> npt.NDArray[np.float32]:
        """Process one token and return the logits after it, (V,) float32.

        Parameters
        ----------
        token : int
            What comes after `tokens`.
        draft : sequence of int
            A guess of what comes after it, processed in the same pass; what is beyond the context
            is left out. Calls that follow the guess need no pass. No result depends on it.

        Raises
        ------
        ContextOverflow
            The context is full.
        UsageError
            A token is not in the vocabulary.
        """
        with self._alone():
            if self.foresees(token):
                return self._follow()
            room = max(self.capacity - self.n_tokens - 1, 0)
            pending = self._checked_new((token, *draft[:room]))
            rows = compute_unchecked(self.model, pending, [self.cache], range(pending.size))
            require_finite(self.model, rows[0])
            self._tokens.append(int(pending[0]))
            self._ahead.extend(zip(pending[1:].tolist(), rows[1:], strict=True))
        first: npt.NDArray[np.float32] = rows[0]
        return first

    def foresees(self, token: int) -> bool:
        """Whether `decode(token)` needs no pass, for it was processed as a draft."""
        return bool(self._ahead) and is_integer(token) and self._ahead[0][0] == token

    def _follow(self) -> npt.NDArray[np.float32]:
        """Note down the first token that is ahead; its logits."""
        ahead, self._ahead = self._ahead, deque()  # none, should the next line raise
        require_finite(self.model, ahead[0][1])
        token, logits = ahead.popleft()
        self._tokens.append(token)
        self._ahead = ahead
        return logits

    def logits(self, tokens: Iterable[int]) -> npt.NDArray[np.float32]:
        """Process `tokens` and return the logits after each, (T, V) float32.

        Raises
        ------
        ContextOverflow, UsageError
            As for `prefill`.
        """
        with self._alone():
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
        with ExitStack() as alone:
            for session in sessions:
                alone.enter_context(session._alone())
                session._require_room(1)
            caches = [session.cache for session in sessions]
            logits = compute(sessions[0].model, tokens, caches, range(len(sessions)))
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
        speculate: Drafter | Model | str | None = None,
        constraint: Grammar | None = None,
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
        speculate : "prompt", Model or Drafter, optional
            Guess tokens ahead and verify several in one pass; the answer is the same, and comes
            sooner where guesses are right. "prompt" guesses that the text goes on as it did where
            its last tokens occurred before, a smaller model of the same vocabulary guesses what
            it would say itself. `DraftModel` keeps that model's session between answers.
        constraint : Grammar, optional
            What the answer must be. It ends by "stop" where nothing may follow, too, and any answer
            that the model ended is whole; `Session.complete` tells it of every other.

        Yields
        ------
        Step
            The token by which the model ends its answer is yielded only where there is text that
            was held back until then.

        Raises
        ------
        ContextOverflow
            `tokens` don't fit the context; nothing was processed.
        GrammarError
            `constraint` takes more work than it may, to begin with or for one token.
        TokenizerError
            The model has no tokenizer.
        UsageError
            An argument is out of its range.
        """
        drafter = checked_drafter(speculate, self.model)
        pending = self._checked_new(tokens)
        state = AnswerState(
            self.model.tokenizer,
            sampling=sampling,
            max_tokens=max_tokens,
            stop=stop,
            logprobs=logprobs,
            constraint=self.model.constraint(constraint),
        )
        with self._alone():  # a refused thread must not end the answer of the one at work
            self.finish_reason, self.timing, self.complete = None, Timing(), None
            self._turn += 1
        return answer(self, self._turn, self.n_tokens, pending, state, drafter)

    def save(self, path: str | Path) -> None:
        """Write tokens, keys and values to the file `path`, whole or not at all.

        Raises
        ------
        UsageError
            The file can't be written.
        """
        from aboard.engine.snapshot import save_session

        with self._alone():
            save_session(self, Path(path))

    def restore(self, path: str | Path) -> None:
        """Take over the state that `save` wrote; what the session held is forgotten.

        From then on the session leaves the prefix cache alone: what a file holds is not computed
        here, so no other sequence may get it.

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

        with self._alone():
            self._prefix_cache = None
            restore_session(self, Path(path))

    def resume(self, path: str | Path, tokens: Iterable[int]) -> npt.NDArray[np.int32]:
        """`restore` the state in `path` for a prompt; the tokens of it that are still to process.

        Parameters
        ----------
        path : str or Path
            Written by `save`.
        tokens : iterable of int
            The whole prompt. It must begin with the tokens that were saved.

        Returns
        -------
        (T,) int32
            For `generate` or `prefill`; at least one, for its logits begin the answer.

        Raises
        ------
        SessionMismatch
            The prompt begins with other tokens, or as for `restore`. The session is empty then.
        ContextOverflow, UsageError
            As for `restore`.
        """
        from aboard.engine.snapshot import resume_session

        prompt = self.model.checked_tokens(tokens)
        if not prompt.size:
            raise UsageError("there are no tokens to process")
        require_room(prompt.size, self.capacity)  # whatever is held now: it is forgotten
        return resume_session(self, path, prompt)

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

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse a second thread while this one is at work."""
        if not self._busy.acquire(blocking=False):
            raise UsageError(
                "the session is in use by another thread",
                hint="Give each thread a session of its own: `model.session()`.",
            )
        try:
            yield
        finally:
            self._busy.release()

    def _checked_new(self, tokens: Iterable[int]) -> npt.NDArray[np.int32]:
        """`tokens` as (T,) int32: at least one, and there is room for them."""
        pending = self.model.checked_tokens(tokens)
        if not pending.size:
            raise UsageError("there are no tokens to process")
        self._require_room(pending.size)
        return pending

    def _beyond_known(self, pending: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """What of `pending` is to be computed; the rest came from the prefix cache."""
        self.cached_tokens = 0
        if self._prefix_cache is not None and not self._tokens:
            self.cached_tokens = self._prefix_cache.adopt(self.cache, pending)
            self._tokens = pending[: self.cached_tokens].tolist()
        return pending[self.cached_tokens :]

    def _forward(
        self, tokens: npt.NDArray[np.int32], wanted: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        logits = compute(self.model, tokens, [self.cache], wanted)
        self._tokens += tokens.tolist()
        return logits

    def _require_room(self, n_more: int) -> None:
        require_room(self.n_tokens + n_more, self.cache.capacity)
