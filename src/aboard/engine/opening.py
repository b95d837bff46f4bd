"""With which tokens a prompt begins, whatever follows: what is worth saving once for all prompts.

The last token of a text may merge with what follows it. So the beginning is that which many
different continuations have in common; should a prompt go on in yet another way, the state that was
saved is refused for it, not misused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aboard.engine.model import Message, Model

_CONTINUATIONS = (
    "A",
    "b",
    "the",
    "1",
    "\n\nA",
    " A",
    ".",
    '"',
    "(",
    "\u00e9",
    "\u4e2d",
    "\U0001f642",
)


def chat_opening(model: Model, system: str, now: date | None = None) -> list[int]:
    """The tokens with which every conversation under the instructions `system` begins.

    `now` is the day that the template may tell.

    Raises
    ------
    TemplateError, TokenizerError, UsageError
        As for `Model.chat_tokens`.
    """
    return conversation_opening(model, [{"role": "system", "content": system}], now)


def conversation_opening(
    model: Model,
    messages: Sequence[Message],
    now: date | None = None,
    template_kwargs: Mapping[str, object] = MappingProxyType({}),
) -> list[int]:
    """The tokens with which every conversation that begins with `messages` begins.

    `now` and `template_kwargs` are those of the conversations. Where the last of `messages` is the
    user's or a tool's, the assistant's turn is what follows.

    Raises
    ------
    TemplateError, TokenizerError, UsageError
        As for `Model.chat_tokens`.
    """
    if messages and messages[-1].get("role") in ("user", "tool"):
        return model.chat_tokens(messages, now=now, template_kwargs=template_kwargs)
    return common_opening(
        model.chat_tokens(
            [*messages, {"role": "user", "content": continuation}],
            now=now,
            template_kwargs=template_kwargs,
        )
        for continuation in _CONTINUATIONS
    )


def text_opening(model: Model, text: str) -> list[int]:
    """The tokens with which every text that begins with `text` begins.

    Raises
    ------
    TokenizerError
        The model has no tokenizer.
    """
    encode = model.tokenizer.encode
    return common_opening(encode(text + continuation) for continuation in _CONTINUATIONS)


def common_opening(sequences: Iterable[list[int]]) -> list[int]:
    """What all begin with."""
    same = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*sequences, strict=False))
    return [tokens[0] for tokens in same]
