"""The sequences that are computed together, one forward pass after the other.

A step processes one token of every answer under way and a bounded slice of the prompts that wait:
a long prompt comes in slice by slice, and the others go on meanwhile. Prompts take turns. None of
it changes a token: a sequence's logits depend on its own tokens only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter as clock
from traceback import clear_frames
from typing import TYPE_CHECKING

import numpy as np

from aboard.engine.forward_pass import (
    compute_unchecked,
    no_memory_for_context,
    require_finite,
)
from aboard.engine.logit_stream import block_rows
from aboard.engine.scheduler_pace import Pace
from aboard.engine.scheduler_queue import FairQueue
from aboard.engine.session import PROMPT_CHUNK
from aboard.errors import AboardError, NotEnoughMemory

if TYPE_CHECKING:
    import numpy.typing as npt

    from aboard._native import KvCache
    from aboard.engine.answer_state import FinishReason
    from aboard.engine.model import Model
    from aboard.engine.scheduler_request import Request

PROMPT_SLICE = 32
"""Tokens of prompts in a step, while answers are under way. By `bench/many.py` on 2 cores of a
Zen 3, 8 answers waited at most 118, 155, 289, 561 ms for a token while a prompt of 2,048 came in by
slices of 16, 32, 64, 128, and the prompt took 7.5, 5.6, 5.5, 5.4 s."""

MAX_SEQUENCES = 32
"""Sequences that are computed together; further ones wait for their turn."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests there are."""

    n_running: int
    n_waiting: int

    @property
    def n_requests(self) -> int:
        """All of them."""
        return self.n_running + self.n_waiting


class _Sequence:
    """A request under way: its KV cache, and its tokens up to the last one drawn."""

    def __init__(self, request: Request, cache: KvCache) -> None:
        self.request = request
        self.cache = cache
        self.tokens: list[int] = request.prompt.tolist()
        self.n_cached = 0

    @property
    def n_left(self) -> int:
        """Tokens to process before the next is drawn."""
        return len(self.tokens) - self.cache.size

    @property
    def in_prompt(self) -> bool:
        """Whether the prompt isn't processed yet."""
        return self.cache.size < self.request.n_prompt


@dataclass(frozen=True, slots=True)
class _Part:
    """What a step processes of one sequence."""

    sequence: _Sequence
    n_tokens: int

    @property
    def wanted(self) -> range:
        """After which of its tokens the logits are wanted."""
        sequence = self.sequence
        if sequence.request.scores_prompt and sequence.in_prompt:
            return range(self.n_tokens)
        return range(self.n_tokens - (self.n_tokens == sequence.n_left), self.n_tokens)

    def ends_turn(self) -> bool:
        """Whether the prompt is at its end, or has a chunk of keys more that others may share."""
        from aboard import _native

        before, chunk = self.sequence.cache.size, _native.KEY_CHUNK
        return self.n_tokens == self.sequence.n_left or before % chunk + self.n_tokens >= chunk

    def tokens(self) -> list[int]:
        held = self.sequence.cache.size
        return self.sequence.tokens[held : held + self.n_tokens]


class Batch:
    """Requests under way and those that wait; for one thread.

    Parameters
    ----------
    model : Model
        The model that answers.
    max_sequences : int
        How many are computed together.
    prompt_slice : int
        Tokens of prompts in a step, while answers are under way.
    step_s : float, optional
        Seconds that a step should take at most: prompts come in smaller slices then.

    Attributes
    ----------
    n_background : int
        Requests in the background, under way or waiting; any thread may ask. Those under way make
        room for others: they are set aside with their keys, and go on where they were, so that
        there are at most twice `max_sequences` caches.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_sequences: int,
        prompt_slice: int,
        step_s: float | None = None,
    ) -> None:
        self._model = model
        self._max_sequences = max_sequences
        self._prompt_slice = prompt_slice
        self._pace = Pace(step_s)
        self._waiting = FairQueue()
        self._block_rows = block_rows(model)
        self._prompts: deque[_Sequence] = deque()
        self._answers: list[_Sequence] = []
        self._aside: list[_Sequence] = []  # of the background; they go on when there is room
        self.n_background = 0
        self._changed: dict[Request, None] = {}  # their callers don't know yet

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._under_way or self._aside)

    @property
    def load(self) -> Load:
        """How much there is to do; any thread may ask."""
        n_waiting = len(self._waiting) + len(self._aside)
        return Load(len(self._prompts) + len(self._answers), n_waiting)

    def add(self, request: Request) -> None:
        """Take on a request; its turn comes as soon as there is room."""
        self._waiting.add(request)
        self.n_background += request.background

    def step(self) -> None:
        """One forward pass, and what it brings: steps of answers, and ends of requests."""
        self._drop_interrupted()
        self._admit()
        parts = self._plan()
        self._tell()
        if not parts:
            return
        try:
            logits = self._compute(parts)
        except NotEnoughMemory as error:
            # Of those who can wait the last to come, or else of all.
            self._drop((self._aside or [part.sequence for part in parts])[-1], error)
            self._tell()
            return
        for part in parts:
            if part.n_tokens > 1:
                self._model.prefix_cache.keep(part.sequence.cache, part.sequence.tokens)
        for part, rows in zip(parts, logits, strict=True):
            self._digest(part.sequence, rows)
        if self.idle:
            self._tell()

    def end_all(self, error: Exception | None = None) -> None:
        """End every request: with `error`, or cancelled."""
        if error is not None:
            _let_go(error)
        held = (*self._under_way, *self._aside)
        left = [*(sequence.request for sequence in held), *self._waiting]
        self._answers, self._prompts, self._waiting = [], deque(), FairQueue()
        self._aside = []
        for request in left:
            self._end(request, None if error else "cancelled", error)
        self._tell()

    def _tell(self) -> None:
        """Tell callers what is new.

        That comes just before the engine computes: whoever they wake has the interpreter then, and
        doesn't take turns with what is left to do for others' answers.
        """
        changed, self._changed = self._changed, {}
        for request in changed:
            request.tell()

    def _end(
        self, request: Request, reason: FinishReason | None, error: Exception | None = None
    ) -> None:
        request.end(reason, error)
        self.n_background -= request.background
        self._changed[request] = None

    @property
    def _under_way(self) -> tuple[_Sequence, ...]:
        return (*self._answers, *self._prompts)

    def _drop_interrupted(self) -> None:
        for request in [each for each in self._waiting if each.interruption()]:
            self._waiting.remove(request)
            self._end(request, request.interruption())
        for sequence in (*self._under_way, *self._aside):
            if reason := sequence.request.interruption():
                self._remove(sequence)
                self._end(sequence.request, reason)

    def _admit(self) -> None:
        while len(self._under_way) < self._max_sequences or self._set_one_aside():
            if self._aside and not self._waiting.foreground:
                sequence = self._aside.pop(0)
                (self._prompts if sequence.in_prompt else self._answers).append(sequence)
                continue
            if not self._waiting:
                return
            request = self._waiting.next(sequence.request for sequence in self._under_way)
            try:
                cache = self._model.decoder.new_cache(self._model.context_length)
            except MemoryError:
                self._end(request, None, no_memory_for_context(self._model))
                return
            self._prompts.append(_Sequence(request, cache))

    def _set_one_aside(self) -> bool:
        """Whether the last to come of the background has made room for somebody who waits."""
        if not self._waiting.foreground:
            return False
        last = next((each for each in self._under_way[::-1] if each.request.background), None)
        if last is not None:
            self._remove(last)
            self._aside.append(last)
        return last is not None

    def _plan(self) -> list[_Part]:
        """The next token of every answer, then the slices of prompts that fit."""
        parts = [_Part(sequence, 1) for sequence in self._answers]
        left = self._prompt_slice if parts else max(PROMPT_CHUNK, self._prompt_slice)
        left = self._pace.most(left)
        rows_left = self._block_rows  # of all prompts that are scored: each row is a vocabulary
        for sequence in list(self._prompts):
            scored = sequence.request.scores_prompt
            most = min(left, rows_left) if scored else left
            if most == 0:
                continue
            self._begin(sequence)
            part = _Part(sequence, min(most, sequence.n_left))
            parts.append(part)
            left -= part.n_tokens
            rows_left -= part.n_tokens if scored else 0
            if part.ends_turn():
                self._prompts.remove(sequence)
                self._prompts.append(sequence)  # goes last
        return parts

    def _begin(self, sequence: _Sequence) -> None:
        """Before a slice of a prompt: what another has computed meanwhile is taken over."""
        if not sequence.cache.size:
            sequence.request.state.begin()
        if not sequence.request.scores_prompt:
            known = self._model.prefix_cache.adopt(sequence.cache, sequence.tokens)
            sequence.n_cached += known

    def _compute(self, parts: list[_Part]) -> Sequence[npt.NDArray[np.float32]]:
        """The logits that are wanted of each part, (n, V) float32 each."""
        tokens: list[int] = []
        caches: list[KvCache] = []
        wanted: list[int] = []
        ends: list[int] = []
        for part in parts:
            tokens += part.tokens()
            caches += [part.sequence.cache] * part.n_tokens
            before = len(tokens) - part.n_tokens
            wanted += [before + i for i in part.wanted]
            ends.append(len(wanted))
        began = clock()
        rows = compute_unchecked(self._model, np.array(tokens, np.int32), caches, wanted)
        self._pace.note(len(tokens), clock() - began)
        return [rows[a:b] for a, b in pairwise([0, *ends])]

    def _digest(self, sequence: _Sequence, rows: npt.NDArray[np.float32]) -> None:
        """Take in what a step computed of a sequence; an error of its own ends it alone."""
        try:
            if len(rows):
                require_finite(self._model, rows)
            if sequence.request.scores_prompt and sequence in self._prompts:
                sequence.request.score(rows)
            if not sequence.n_left:
                self._draw(sequence, rows[-1])
        except Exception as error:
            self._drop(sequence, error)

    def _draw(self, sequence: _Sequence, logits: npt.NDArray[np.float32]) -> None:
        """Draw the next token of a sequence."""
        request, state = sequence.request, sequence.request.state
        if sequence in self._prompts:
            self._prompts.remove(sequence)
            self._answers.append(sequence)
            state.prompted(request.n_prompt, n_cached=sequence.n_cached)
        step = state.take(
            logits,
            sequence.tokens if state.looks_back else (),
            len(sequence.tokens),
            n_before=request.n_prompt,
            full=len(sequence.tokens) == sequence.cache.capacity,
        )
        if step is not None:
            request.push(step)
            self._changed[request] = None
            if state.finish_reason is None:
                sequence.tokens.append(step.token)
                return
        self._model.prefix_cache.keep(sequence.cache, sequence.tokens)
        self._remove(sequence)
        self._end(request, state.finish_reason)

    def _drop(self, sequence: _Sequence, error: Exception) -> None:
        _let_go(error)
        self._remove(sequence)
        self._end(sequence.request, None, error)

    def _remove(self, sequence: _Sequence) -> None:
        for each in (self._answers, self._prompts, self._aside):
            if sequence in each:
                each.remove(sequence)


def _let_go(error: Exception) -> None:
    """Take from an error what it knows of the functions that it ended.

    Those know the keys of all sequences of a step, and a request knows its error: they would stay
    in memory for as long as the request, or until cycles of references are collected.
    """
    if isinstance(error, AboardError):
        error.__traceback__ = error.__context__ = None  # its words say all
    else:
        clear_frames(error.__traceback__)  # a defect: the log is to tell where
