"""Whether a grammar can write a value: its JSON text, with keys in some order.

Tokens are bytes, so that every cut of a text is tried.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.constrain import Constraint, Grammar
from aboard.constrain.vocabulary import vocabulary
from tiny import tokenizer_metadata

N_TOKENS = 259
BYTES = Tokenizer.from_gguf(tokenizer_metadata(N_TOKENS))
MAX_STEPS = 5_000


def constraint(grammar: Grammar) -> Constraint:
    return grammar.constraint(BYTES, N_TOKENS)


def accepts(grammar: Grammar, text: str) -> bool:
    """Whether the very text is one of the grammar's."""
    state = constraint(grammar)
    octets = list(text.encode())
    if state.may_follow(octets) < len(octets):
        return False
    for octet in octets:
        state.accept(octet)
    return state.may_end


def text_of(value: Any) -> str:
    """A scalar as the grammars spell it: numbers without exponent, integers without point."""
    if isinstance(value, bool | str | None):
        return json.dumps(value, ensure_ascii=False)
    # Floats that can only be integers stand for all of their digits, as in a schema.
    exact = isinstance(value, float) and abs(value) >= 1 << 53
    digits = format(Decimal(value) if exact else Decimal(repr(value)), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


class TooManyOrders(Exception):
    """It takes too long to try all orders of keys."""


class Writer:
    """Writes values, taking back what leads nowhere."""

    def __init__(self, grammar: Grammar) -> None:
        # Not a constraint, which would compute a mask after every byte.
        self._matcher = vocabulary(BYTES, N_TOKENS).matcher(grammar.text)
        self._steps = 0

    def can_write(self, value: Any) -> bool:
        self._steps = 0
        try:
            return self._value(value, self._matcher.is_accepting)
        finally:
            self._matcher.reset()

    def can_write_text(self, text: str) -> bool:
        """Whether the very text is one of the grammar's."""
        self._steps = 0
        try:
            return self._text(text, self._matcher.is_accepting)
        finally:
            self._matcher.reset()

    def _text(self, text: str, then: Callable[[], bool]) -> bool:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooManyOrders
        octets = list(text.encode())
        n_written = self._matcher.try_consume_tokens(octets)
        if n_written == len(octets) and then():
            return True
        self._matcher.rollback(n_written)
        return False

    def _value(self, value: Any, then: Callable[[], bool]) -> bool:
        if isinstance(value, dict):
            return self._text("{", lambda: self._members(dict(value), "", then))
        if isinstance(value, list):
            return self._text("[", lambda: self._items(value, 0, then))
        return self._text(text_of(value), then)

    def _members(self, left: dict[str, Any], comma: str, then: Callable[[], bool]) -> bool:
        if not left:
            return self._text("}", then)
        for name in left:
            rest = {key: value for key, value in left.items() if key != name}
            key = f"{comma}{json.dumps(name, ensure_ascii=False)}: "

            def go_on(value: Any = left[name], rest: dict[str, Any] = rest) -> bool:
                return self._value(value, lambda: self._members(rest, ", ", then))

            if self._text(key, go_on):
                return True
        return False

    def _items(self, items: list[Any], at: int, then: Callable[[], bool]) -> bool:
        if at == len(items):
            return self._text("]", then)

        def go_on() -> bool:
            return self._value(items[at], lambda: self._items(items, at + 1, then))

        return self._text(", ", go_on) if at else go_on()
