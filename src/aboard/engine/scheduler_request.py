"""What a caller holds of an answer that the scheduler computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from aboard.engine.answer_state import AnswerState, FinishReason, Step, Timing
from aboard.engine.scheduler_queue import Owner
from aboard.engine.token_scores import TokenScore, score_tokens

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_EVER_S = 1e15  # what is longer, such as an integer beyond all floats, lasts as long


class Request:
    """An answer under way, made by `Scheduler.submit`; an iterator of its steps.

    Iterating waits for the next step, and a caller that doesn't iterate holds up nobody: steps are
    kept until they are asked for. Any thread may iterate or cancel.

    Attributes
    ----------
    n_prompt : int
        Tokens of the prompt.
    finish_reason : str or None
        "stop" (the model or a stop text), "length" (`max_tokens` or the end of the context),
        "cancelled", "timeout"; None while it is under way, or where it ended with an error.
    timing : Timing
        Up to the last token computed; from when the prompt's turn came, not from `submit`.
    error : Exception or None
        What ended it instead; iterating raises it.
    prompt_scores : list of TokenScore
        Of the prompt's tokens from the second on, where they were asked for; whole from the first
        step on.
    owner : str or tuple of str
        Whose request it is.
    background : bool
        Whether its turn comes after all that are not.
    complete : bool or None
        Whether the answer that ended is a whole one of its grammar; None where it has none.
    """

    def __init__(
        self,
        prompt: npt.NDArray[np.int32],
        state: AnswerState,
        timeout_s: float | None,
        *,
        prompt_logprobs: int | None = None,
        owner: Owner = "",
        background: bool = False,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.n_prompt = prompt.size
        self.finish_reason: FinishReason | None = None
        self.error: Exception | None = None
        self.complete: bool | None = None
        self.prompt = prompt
        self.state = state
        self.owner = owner
        self.background = background
        self.prompt_scores: list[TokenScore] = []
        self._prompt_logprobs = prompt_logprobs
        self._deadline = None if timeout_s is None else time.monotonic() + min(timeout_s, _EVER_S)
        self._cancelled = False
        self._steps: SimpleQueue[Step | None] = SimpleQueue()  # None: there are no more
        self._on_change = on_change

    @property
    def timing(self) -> Timing:
        """Up to the last token computed."""
        return self.state.timing

    @property
    def stop_text(self) -> str | None:
        """The stop text that ended the answer; None where none did."""
        return self.state.stop_text

    def cancel(self) -> None:
        """End the answer before the next token is computed; steps so far can still be taken."""
        self._cancelled = True

    def text(self) -> str:
        """Wait for the end and return the text of all steps that weren't taken yet.

        Raises
        ------
        AboardError
            What ended the answer, if not a `finish_reason`.
        """
        return "".join(step.text for step in self)

    def taken(self) -> tuple[list[Step], bool]:
        """The steps there are now, without waiting, and whether there are no more to come.

        Raises
        ------
        AboardError
            What ended the answer, once all its steps are taken.
        """
        steps: list[Step] = []
        while True:
            try:
                step = self._steps.get_nowait()
            except Empty:
                return steps, False
            if step is None:
                self._steps.put(None)  # for whoever asks next
                if self.error is not None and not steps:
                    raise self.error
                return steps, self.error is None
            steps.append(step)

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        step = self._steps.get()
        if step is not None:
            return step
        self._steps.put(None)  # for whoever asks next
        if self.error is not None:
            raise self.error
        raise StopIteration

    # The scheduler's side.

    @property
    def scores_prompt(self) -> bool:
        """Whether the logits after each of the prompt's tokens are wanted."""
        return self._prompt_logprobs is not None

    def score(self, logits: npt.NDArray[np.float32]) -> None:
        """Score the next tokens of the prompt by the (t, V) logits before each."""
        known = len(self.prompt_scores) + 1
        following = self.prompt[known : known + len(logits)]
        scores = score_tokens(logits[: len(following)], following, self._prompt_logprobs or 0)
        self.prompt_scores += scores

    def interruption(self) -> FinishReason | None:
        """Why the answer is to be ended now, if it is."""
        if self._cancelled:
            return "cancelled"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "timeout"
        return None

    def push(self, step: Step) -> None:
        """Hand a step to whoever iterates."""
        self._steps.put(step)

    def end(self, reason: FinishReason | None, error: Exception | None = None) -> None:
        """There are no more steps, whatever becomes of the rest."""
        try:
            self.complete = self.state.complete
        except Exception as failed:
            reason, error = None, error or failed
        self.finish_reason, self.error = reason, error
        self._steps.put(None)

    def tell(self) -> None:
        """Tell the caller that there is something to take."""
        if self._on_change is not None:
            self._on_change()
