"""Where one answer stands in its grammar: which tokens may come next.

The mask of the next token is computed by a thread of its own as soon as a token is accepted, while
the engine computes that token's logits: neither holds the interpreter's lock meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from aboard.constrain.vocabulary import reason
from aboard.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aboard.constrain.vocabulary import Vocabulary

_THREADS = 2


class Constraint:
    """The state of one answer in a grammar; made by `Grammar.constraint`. For one thread at a time.

    Parameters
    ----------
    vocabulary : Vocabulary
        The model's tokens.
    lark : str
        The grammar, as llguidance reads it.

    Raises
    ------
    GrammarError
        The grammar can't be compiled within the limits.
    """

    def __init__(self, vocabulary: Vocabulary, lark: str) -> None:
        self._vocabulary = vocabulary
        self._lark = lark
        self._matcher = vocabulary.matcher(lark)
        self._shares = True  # what the matcher knows of the grammar, with other answers
        self._accepted: list[int] = []
        self._mask = np.zeros(vocabulary.n_words, np.uint32)
        self._work: Future[None] | None = None
        self._prepare()

    @property
    def may_end(self) -> bool:
        """Whether the answer is a whole one if it ends here."""
        return bool(self._settled().is_accepting())

    @property
    def ended(self) -> bool:
        """Whether nothing may follow."""
        matcher = self._settled()
        return bool(matcher.is_stopped() and not matcher.is_error())

    def allowed(self) -> NDArray[np.uint32]:
        """The tokens that may come next, (ceil(V / 32),) uint32: token t is a bit of word t // 32.

        It is bit t % 32 from the lowest. Tokens that end an answer are among them where it may end.
        The array is this object's own: it changes with `accept` and `rewind`.

        Raises
        ------
        GrammarError
            The grammar takes more work for one token than it may.
        """
        self._computed()
        return self._mask[: (self._vocabulary.n_tokens + 31) // 32]

    def accept(self, token: int) -> None:
        """Take `token` for the next of the answer, and begin to compute what may follow it.

        Raises
        ------
        GrammarError
            As for `allowed`.
        UsageError
            It may not come next. The answer stands where it stood.
        """
        self._computed()
        if not self._allows(token):  # llguidance would give up the whole answer
            raise UsageError(f"token {token} is not what the grammar allows here")
        if not self._matcher.consume_token(token):
            self._begin_anew()
            if not self._matcher.consume_token(token):
                raise self._failure()
        self._accepted.append(token)
        self._prepare()

    def may_follow(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, from the first on, may come next."""
        return int(self._settled().validate_tokens(list(tokens))) if tokens else 0

    def rewind(self, n_tokens: int) -> None:
        """Forget the last `n_tokens` that were accepted.

        Raises
        ------
        UsageError
            There are fewer.
        """
        if not 0 <= n_tokens <= len(self._accepted):
            raise UsageError(f"can't take back {n_tokens} of {len(self._accepted)} tokens")
        del self._accepted[len(self._accepted) - n_tokens :]
        if not self._settled().rollback(n_tokens):
            self._begin_anew()
        self._prepare()

    def _prepare(self) -> None:
        self._work = _pool().submit(self._compute)

    def _compute(self) -> None:
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)

    def _settled(self) -> Any:
        """The matcher, no longer at work."""
        if self._work is not None:
            self._work.result()
        return self._matcher

    def _computed(self) -> None:
        """Have the mask, or say why there is none."""
        if self._settled().is_error():
            self._begin_anew()
            self._compute()
        if self._matcher.is_error():
            raise self._failure()

    def _allows(self, token: int) -> bool:
        if not 0 <= token < self._vocabulary.n_tokens:
            return False
        return bool(int(self._mask[token // 32]) >> token % 32 & 1)

    def _begin_anew(self) -> None:
        """Come here again with a matcher that shares nothing.

        What answers learn of a grammar is limited in sum: who runs into it ends it for all.
        """
        if self._shares:
            self._shares = False
            self._matcher = self._vocabulary.fresh_matcher(self._lark)
            self._matcher.consume_tokens(self._accepted)

    def _failure(self) -> GrammarError:
        return GrammarError(
            f"after {len(self._accepted)} tokens the grammar takes more work than it may: "
            f"{reason(self._matcher)}",
            hint="Make the schema or grammar simpler: fewer alternatives, shorter repetitions.",
        )


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="aboard-mask")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # its threads are the parent's
