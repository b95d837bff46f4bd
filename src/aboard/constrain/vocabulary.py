"""A model's tokens as llguidance knows them, and the grammars that were compiled for them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aboard.errors import GrammarError

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer

MAX_GRAMMARS = 16
"""Compiled grammars that are kept for each model; the one unused for longest goes first."""

_LIMITS: dict[str, Any] = {
    "max_items_in_row": 2_000,
    "initial_lexer_fuel": 2_000_000,  # 50 ms; of large enumerations
    "step_lexer_fuel": 500_000,  # 35 ms
    "step_max_items": 50_000,  # 3 ms
    "max_lexer_states": 10_000,  # of all answers to a grammar together
    "max_grammar_size": 500_000,
    "precompute_large_lexemes": False,
    "verbose_errors": False,
}
# All bytes of a token that stands for no text begin with this one, which is never UTF-8.
_NO_TEXT = b"\xff"


class Vocabulary:
    """The tokens of a model, for masks; made by `vocabulary`, once for each model.

    Attributes
    ----------
    n_tokens : int
        Rows of the model's head, V: a mask has a bit for each.
    """

    def __init__(self, tokenizer: Tokenizer, n_tokens: int) -> None:
        import llguidance

        self.n_tokens = n_tokens
        self._llguidance = llguidance
        self._tokens = llguidance.LLTokenizer(
            _Wrapped(tokenizer, n_tokens),  # type: ignore[arg-type]
            eos_token=sorted(tokenizer.stop_ids) or None,
            slices=llguidance.LLTokenizer.json_slices(),
        )
        self._limits = llguidance.LLParserLimits(**_LIMITS)
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def n_words(self) -> int:
        """32-bit words of a mask."""
        return (self._tokens.vocab_size + 31) // 32

    def matcher(self, lark: str) -> Any:
        """An `LLMatcher` at the beginning of `lark`; what it learns of it, later ones know.

        Raises
        ------
        GrammarError
            It is no grammar, or one that takes too much to compile.
        """
        with self._lock:
            known = self._compiled.get(lark)
            if known is not None:
                self._compiled.move_to_end(lark)
                return known.deep_copy()
        made = self.fresh_matcher(lark)
        with self._lock:
            self._compiled[lark] = made.deep_copy()
            while len(self._compiled) > MAX_GRAMMARS:
                self._compiled.popitem(last=False)
        return made

    def fresh_matcher(self, lark: str) -> Any:
        """As `matcher`, sharing nothing with others; the next `matcher` begins anew, too.

        Raises
        ------
        GrammarError
            As for `matcher`.
        """
        with self._lock:
            self._compiled.pop(lark, None)
        made = self._llguidance.LLMatcher(self._tokens, lark, log_level=0, limits=self._limits)
        if made.is_error():
            raise GrammarError(f"the grammar can't be compiled: {reason(made)}")
        return made


class _Wrapped:
    """What llguidance asks of a tokenizer."""

    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: Tokenizer, n_tokens: int) -> None:
        self.special_token_ids = []
        self.tokens = []
        for token_id in range(n_tokens):
            known = token_id < tokenizer.n_vocabulary
            octets = tokenizer.piece(token_id) if known else b""
            if known and tokenizer.is_control(token_id):
                self.special_token_ids.append(token_id)
            elif octets.startswith(_NO_TEXT):
                octets = b""
            self.tokens.append(octets)
        # One of the special ones, so that none is added; `eos_token` says which end an answer.
        self.eos_token_id = min(tokenizer.stop_ids, default=None)
        self.bos_token_id = tokenizer.bos_id

    def __call__(self, text: str | bytes) -> list[int]:
        raise NotImplementedError("grammars force no tokens, so that none are asked for")


_vocabularies: WeakKeyDictionary[Tokenizer, Vocabulary] = WeakKeyDictionary()
_lock = threading.Lock()


def vocabulary(tokenizer: Tokenizer, n_tokens: int) -> Vocabulary:
    """The vocabulary of a model with this tokenizer and `n_tokens` logits."""
    with _lock:
        known = _vocabularies.get(tokenizer)
        if known is None or known.n_tokens != n_tokens:
            known = _vocabularies[tokenizer] = Vocabulary(tokenizer, n_tokens)
        return known


def reason(matcher: Any) -> str:
    """Why an `LLMatcher` failed, without what only llguidance's authors need."""
    lines = str(matcher.get_error()).replace("<non-verbose/>", "").strip().splitlines()
    return lines[0][:300] if lines else "llguidance doesn't say why"
