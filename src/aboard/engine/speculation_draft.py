"""A drafter that asks a smaller model of the same vocabulary (arXiv:2211.17192).

It draws with the answer's own sampling, whose random number is a function of seed and position:
where both models find the same tokens likely, they draw the same one, at any temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aboard.engine.speculation import worthwhile
from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.engine.model import Model
    from aboard.engine.sampling import Sampling
    from aboard.engine.speculation import Cost

_FIRST_CHANCE = 0.8
_RATE = 1 / 16
_PROBE_EVERY = 32
"""Tokens between two tries while guessing isn't worth it, so that it may become so again."""


class DraftModel:
    """Guesses what a smaller model would say; keeps that model's session between answers.

    Beyond the smaller model's context nothing is guessed.

    Parameters
    ----------
    model : Model
        Must have the tokenizer of the model it guesses for.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._session = model.session()
        self._agreed = 0  # so many tokens of the session are those of the answer
        self._known: list[int] = []
        self._n_prompt = 0
        self._draft: list[int] = []
        self._chance = _FIRST_CHANCE
        self._skipped = 0
        self._cost = 0.0

    def check_fits(self, target: Model) -> None:
        """Refuse to guess for `target` where its ids mean something else.

        Raises
        ------
        UsageError
            The tokenizers differ, or the size of the vocabulary.
        """
        ours, theirs = self.model, target
        if (
            ours.tokenizer.sha256 != theirs.tokenizer.sha256
            or ours.config.n_vocabulary != theirs.config.n_vocabulary
        ):
            raise UsageError(
                f"{ours.path}: its tokenizer ({ours.tokenizer.sha256[:12]}, "
                f"{ours.config.n_vocabulary} tokens) is not that of {theirs.path} "
                f"({theirs.tokenizer.sha256[:12]}, {theirs.config.n_vocabulary} tokens)",
                hint="A draft model must be of the same family, with the very same vocabulary.",
            )
        self._cost = ours.decode_weight_bytes / theirs.decode_weight_bytes

    def begin(self, tokens: Sequence[int], sampling: Sampling) -> None:
        """See `Drafter`."""
        self._known = list(tokens)
        self._n_prompt = len(tokens)
        self._sampling = sampling
        self._agreed, self._draft = 0, []

    def push(self, token: int) -> None:
        """See `Drafter`."""
        self._known.append(token)
        if self._draft:
            hit = self._draft.pop(0) == token
            self._chance += ((1.0 if hit else 0.0) - self._chance) * _RATE
            if not hit:
                self._draft = []

    def propose(self, limit: int, cost: Cost) -> Sequence[int]:
        """See `Drafter`."""
        limit = min(limit, self._session.capacity - len(self._known) + 1)
        length = worthwhile([self._chance] * limit, lambda n: cost(n) + n * self._cost)
        if not length and self._skipped >= _PROBE_EVERY:
            length = min(1, limit)
        self._skipped = 0 if length > 0 else self._skipped + 1
        self._draft = [*self._guess(length)] if length > 0 else []
        return tuple(self._draft)

    def _guess(self, length: int) -> list[int]:
        held = self._session.tokens
        most = min(len(held), len(self._known) - 1)
        while self._agreed < most and held[self._agreed] == self._known[self._agreed]:
            self._agreed += 1
        self._agreed = min(self._agreed, most)
        self._session.rewind(self._agreed)
        logits = self._session.prefill(self._known[self._agreed :])
        self._agreed = len(self._known)
        draft: list[int] = []
        while True:
            context = (*self._known, *draft) if self._sampling.looks_back else ()
            position = len(self._known) + len(draft)
            drawn = self._sampling.draw(
                logits, context, position, n_prompt=self._n_prompt, logprob=False
            )
            draft.append(drawn.token)
            if len(draft) == length:
                return draft
            logits = self._session.decode(drawn.token)
