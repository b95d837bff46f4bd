"""A conversation over one KV cache: each turn processes only the tokens that are new."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from aboard.errors import TemplateError

if TYPE_CHECKING:
    from aboard.constrain import Grammar
    from aboard.engine import Model, Session, Step
    from aboard.engine.sampling import Sampling
    from aboard.engine.speculation import Drafter

Message = dict[str, str]


class Conversation:
    """The messages so far and the session that has seen them.

    Parameters
    ----------
    model : Model
        Must have a chat template.
    system : str, optional
        Instructions that precede the conversation.
    state : str, optional
        A file that holds the state of its first tokens, until `reset`.
    now : date, optional
        The day that the template may tell; the same for all turns, even past midnight.

    Raises
    ------
    TokenizerError, TemplateError
        The model has none.
    SessionMismatch, ContextOverflow, UsageError
        The state can't be used: as for `Session.restore`.
    """

    def __init__(
        self,
        model: Model,
        system: str | None = None,
        *,
        state: str | None = None,
        now: date | None = None,
    ) -> None:
        self.session: Session = model.session()  # first: an encoder has none
        if model.chat_template is None:
            _ = model.tokenizer  # a model without it has more to lack than a template
            raise TemplateError(
                "the model has no chat template, so a conversation can't be written down for it",
                hint="Use `aboard run MODEL --raw PROMPT`.",
            )
        self._model = model
        self._now = now
        self.messages: list[Message] = []
        self._state: str | None
        self.reset(system)
        if state is not None:
            self.session.restore(state)  # now: a state that can't be used is told before a turn
            self._state = state  # until the first turn

    @property
    def system(self) -> str | None:
        """The instructions that precede the conversation."""
        return self.messages[0]["content"] if self._opening() else None

    def reset(self, system: str | None) -> None:
        """Forget all turns and start with these instructions."""
        self._state = None
        self.messages = [{"role": "system", "content": system}] if system else []

    def ask(
        self,
        text: str,
        *,
        sampling: Sampling,
        max_tokens: int | None,
        stop: Sequence[str],
        logprobs: bool = False,
        speculate: Drafter | None = None,
        constraint: Grammar | None = None,
    ) -> Generator[Step, None, None]:
        """Yield the answer to `text`, step by step.

        The turn joins the conversation when the iterator ends or is closed, with as much of the
        answer as there was; without any, it leaves no trace.

        Raises
        ------
        ContextOverflow
            The conversation has more tokens than the context holds.
        SessionMismatch
            It doesn't begin with the tokens of the state.
        GrammarError
            `constraint` takes more work than it may.
        """
        from aboard.engine.snapshot import require_prefix

        messages = [*self.messages, {"role": "user", "content": text}]
        tokens = self._model.chat_tokens(messages, now=self._now)
        if self._state is not None:
            if not self.session.n_tokens:  # a turn was refused
                self.session.restore(self._state)
            require_prefix(self.session, tokens, self._state)
            self._state = None
        # The last token is always processed anew: its logits begin the answer.
        kept = min(common_prefix(tokens, self.session.tokens), len(tokens) - 1)
        self.session.rewind(kept)
        pieces: list[str] = []
        try:
            for step in self.session.generate(
                tokens[kept:],
                sampling=sampling,
                max_tokens=max_tokens,
                stop=tuple(stop),
                logprobs=logprobs,
                speculate=speculate,
                constraint=constraint,
            ):
                pieces.append(step.text)
                yield step
        finally:
            if pieces:
                self.messages = [*messages, {"role": "assistant", "content": "".join(pieces)}]

    def _opening(self) -> bool:
        return bool(self.messages) and self.messages[0]["role"] == "system"


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
