"""Many answers at once on one model: requests come and go at any time, in any thread.

Sequences that are computed together read the weights once for all of them, so that eight of them
take far less than eight times as long as one; each gets the very tokens it would get alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aboard.closing import Closing
from aboard.engine.answer_state import AnswerState
from aboard.engine.arguments import checked_integer, checked_seconds, require_room
from aboard.engine.sampling import Sampling
from aboard.engine.scheduler_batch import MAX_SEQUENCES, PROMPT_SLICE, Batch, Load
from aboard.engine.scheduler_request import Request
from aboard.errors import Overloaded, UsageError

if TYPE_CHECKING:
    from aboard.constrain import Grammar
    from aboard.engine.model import Model

MOST_REQUESTS = 2**31 - 1


class Scheduler(Closing):
    """Computes the answers of all its requests together; also a context manager.

    A thread of its own computes while there are requests, and sleeps else. What a request gets
    depends on nothing but itself: not on others, on when they come, or on how prompts are cut.
    Any thread may submit.

    Parameters
    ----------
    model : Model
        The model that answers.
    max_sequences : int
        How many are computed together, from 1; further ones wait for their turn.
    prompt_slice : int
        Tokens of prompts that are processed beside the next tokens of the answers under way, from
        1. More make prompts faster, and the others' gap between two tokens longer.
    max_waiting : int, optional
        How many may wait for their turn, from 0; by default any number.
    step_s : float, optional
        Seconds above 0 that a step should take: who comes or is cancelled waits for its end. Slower
        models take prompts in smaller slices then. By default prompts are read as fast as they
        can be.

    Raises
    ------
    UsageError
        A number is out of its range.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_sequences: int = MAX_SEQUENCES,
        prompt_slice: int = PROMPT_SLICE,
        max_waiting: int | None = None,
        step_s: float | None = None,
    ) -> None:
        if step_s is not None:
            checked_seconds("step_s", step_s)
        self._model = model
        self._batch = Batch(
            model,
            max_sequences=checked_integer("max_sequences", max_sequences, 1, MOST_REQUESTS),
            prompt_slice=checked_integer("prompt_slice", prompt_slice, 1, MOST_REQUESTS),
            step_s=step_s,
        )
        self._most: int | None = None  # requests that may be there at once
        if max_waiting is not None:
            self._most = max_sequences + checked_integer(
                "max_waiting", max_waiting, 0, MOST_REQUESTS
            )
        self._arrived = threading.Condition()
        self._new: deque[Request] = deque()
        self._closed = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="aboard-batch", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: str | Iterable[int],
        *,
        sampling: Sampling | None = None,
        max_tokens: int | None = None,
        stop: Iterable[str] = (),
        logprobs: bool = False,
        top_logprobs: int = 0,
        prompt_logprobs: int | None = None,
        owner: str | tuple[str, ...] = "",
        background: bool = False,
        timeout_s: float | None = None,
        on_change: Callable[[], None] | None = None,
        constraint: Grammar | None = None,
        speculate: None = None,
        state: None = None,
    ) -> Request:
        """Ask for an answer; it is computed whether anybody iterates over it or not.

        Parameters
        ----------
        prompt : str or iterable of int
            A text to continue, or token ids (`Model.chat_tokens` gives those of a conversation).
        sampling : Sampling, optional
            Greedy by default.
        max_tokens : int, optional
            At least 1; by default as many as the context holds.
        stop : iterable of str
            Texts that end the answer; they are not part of it.
        logprobs : bool
            Whether steps carry a log-probability.
        top_logprobs : int
            Of how many likeliest tokens they carry it, too; from 0 to the vocabulary.
        prompt_logprobs : int, optional
            Score the prompt's tokens from the second on, each beside so many likeliest tokens:
            `Request.prompt_scores`. All of the prompt is computed then, whatever is known of it.
        owner : str or tuple of str
            Whose request it is, such as a key, or a key and a user of it. Where several owners
            wait, their turns come fairly: between the first names, then between the second of
            those that share a first, and so on.
        background : bool
            Its turn comes where nobody waits who is not in the background, and it is set aside,
            to go on later, where such a one finds no room. Those who aren't don't count it among
            the requests that wait.
        timeout_s : float, optional
            Seconds from now, above 0, after which the answer ends where it is.
        on_change : callable, optional
            Called whenever there is something to take, by the thread that computes: it must be
            quick, and raise nothing.
        constraint : Grammar, optional
            What the answer must be, as for `Session.generate`.
        speculate, state : None
            Options of `Model.generate` that are refused here: passes are shared with other
            answers already, and beginnings come from the prefix cache.

        Raises
        ------
        ContextOverflow
            The prompt doesn't fit the context.
        Overloaded
            As many wait as may.
        GrammarError
            `constraint` can't be compiled within its limits.
        TokenizerError
            The model has no tokenizer.
        UsageError
            An argument is out of its range, or the scheduler is closed.
        """
        for name, value in (("speculate", speculate), ("state", state)):
            if value is not None:
                raise UsageError(
                    f"{name} is {value!r:.80}: answers computed together take no {name}",
                    hint="Ask for this answer alone, with `generate` or a session.",
                )
        if timeout_s is not None:
            checked_seconds("timeout_s", timeout_s)
        tokenizer = self._model.tokenizer
        tokens = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        checked = self._model.checked_tokens(tokens)
        if not checked.size:
            raise UsageError("there are no tokens to process")
        require_room(checked.size, self._model.context_length)
        answer = AnswerState(
            tokenizer,
            sampling=sampling,
            max_tokens=max_tokens,
            stop=stop,
            logprobs=logprobs,
            top_logprobs=top_logprobs,
            constraint=self._model.constraint(constraint),
        )
        if prompt_logprobs is not None:
            checked_integer("prompt_logprobs", prompt_logprobs, 0, tokenizer.n_vocabulary)
        request = Request(
            checked,
            answer,
            timeout_s,
            prompt_logprobs=prompt_logprobs,
            owner=owner,
            background=background,
            on_change=on_change,
        )
        if os.getpid() != self._process:
            raise UsageError(
                "the scheduler belongs to the process that forked this one",
                hint="Make another in this process: `model.batch()`.",
            )
        with self._arrived:
            if self._closed:
                raise UsageError("the scheduler is closed", hint="Make another: `model.batch()`.")
            n_requests = self.load.n_requests
            if not background:  # such hold up nobody
                n_requests -= self._batch.n_background + sum(each.background for each in self._new)
            if self._most is not None and n_requests >= self._most:
                raise Overloaded(
                    f"{n_requests} answers are under way or wait, expected at most {self._most}",
                    hint="Ask again a little later.",
                )
            self._new.append(request)
            self._arrived.notify()
        return request

    @property
    def load(self) -> Load:
        """How many requests are under way, and how many wait."""
        load = self._batch.load
        return Load(load.n_running, load.n_waiting + len(self._new))

    @property
    def closed(self) -> bool:
        """Whether nothing can be submitted any more."""
        return self._closed

    def close(self) -> None:
        """Cancel what is under way; nothing can be submitted afterwards."""
        if os.getpid() != self._process:
            return  # the thread is the parent's
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                if not self._collect():
                    break
                self._batch.step()
            except Exception as error:
                self._batch.end_all(error)
        self._batch.end_all()

    def _collect(self) -> bool:
        """Take on new requests, waiting for one where there is nothing to do; False to end."""
        with self._arrived:
            while self._batch.idle and not self._new and not self._closed:
                self._arrived.wait()
            while self._new:
                self._batch.add(self._new[0])
                self._new.popleft()  # now that it has arrived
            return not self._closed
