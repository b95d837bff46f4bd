"""A piece of work that is timed, and our engine as one of those that can be told to do it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aboard.closing import Closing
from aboard.engine.benchmark.report import Kind
from aboard.engine.model import Model
from aboard.engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """So many tokens of a prompt, or decoded one by one in each sequence, after a context."""

    kind: Kind
    threads: int
    context: int
    n_tokens: int
    sequences: int = 1


class Contender(Protocol):
    """An engine that can be told to do a piece of work."""

    def seconds(self, work: Work) -> float:
        """How long the work alone took; the context is filled before."""
        ...


class OwnEngine(Closing):
    """Our engine on one model; each sequence keeps its context from one piece of work to the next.

    Also a context manager, which gives the sessions' memory back.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._sessions: list[Session] = []
        self._held = ExitStack()

    def close(self) -> None:
        """Give the sessions' memory back."""
        self._held.close()

    @property
    def session(self) -> Session:
        """The first sequence."""
        return self._sequence(0)

    def seconds(self, work: Work) -> float:
        """How long the work alone took.

        Raises
        ------
        ContextOverflow
            The model's context doesn't hold so many tokens.
        NotEnoughMemory
            The system grants no memory for it.
        """
        self.model.threads = work.threads
        sessions = [self._filled(i, work.context) for i in range(work.sequences)]
        ids = token_ids(work.context, work.n_tokens, self.model.config.n_vocabulary)
        began = time.perf_counter()
        if work.kind == "prompt":
            sessions[0].prefill(ids)
        elif work.kind == "decode":
            for token in ids.tolist():
                sessions[0].decode(token)
        else:
            for token in ids.tolist():
                self.model.decode_together(sessions, [token] * len(sessions))
        return time.perf_counter() - began

    def _sequence(self, index: int) -> Session:
        while len(self._sessions) <= index:
            self._sessions.append(self._held.enter_context(self.model.session()))
        return self._sessions[index]

    def _filled(self, index: int, n_tokens: int) -> Session:
        """Sequence `index`, holding `n_tokens`."""
        session = self._sequence(index)
        session.rewind(min(n_tokens, session.n_tokens))
        held = session.n_tokens
        if held < n_tokens:
            session.prefill(token_ids(held, n_tokens - held, self.model.config.n_vocabulary))
        return session


def token_ids(first: int, count: int, n_vocabulary: int) -> npt.NDArray[np.int64]:
    """Ids for the positions from `first` on, (T,): spread over the vocabulary.

    No engine's speed depends on which they are.
    """
    return (np.arange(first, first + count) * 7919 + 1) % n_vocabulary
