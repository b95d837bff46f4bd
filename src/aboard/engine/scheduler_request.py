"""What a caller holds of an answer that the scheduler computes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING

from aboard.engine.answer_state import AnswerState, FinishReason, Step, Timing

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
    complete : bool or None
        Whether the answer that ended is a whole one of its grammar; None where it has none.
    """

    def __init__(
        self, prompt: npt.NDArray[np.int32], state: AnswerState, timeout_s: float | None
    ) -> None:
        self.n_prompt = prompt.size
        self.finish_reason: FinishReason | None = None
        self.error: Exception | None = None
        self.complete: bool | None = None
        self.prompt = prompt
        self.state = state
        self._deadline = None if timeout_s is None else time.monotonic() + min(timeout_s, _EVER_S)
        self._cancelled = False
        self._steps: SimpleQueue[Step | None] = SimpleQueue()  # None: there are no more

    @property
    def timing(self) -> Timing:
        """Up to the last token computed."""
        return self.state.timing

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
        """There are no more steps."""
        self.complete = self.state.complete
        self.finish_reason, self.error = reason, error
        self._steps.put(None)
