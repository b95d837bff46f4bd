"""The tokens on which a model is calibrated: windows of text, some of them held out.

Texts of several kinds, conversations as the model's own chat template writes them, text that the
model writes itself, and what the user gives.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aboard.errors import TemplateError, UsageError
from aboard.quantize.calibration_texts import Conversation, conversations, documents

if TYPE_CHECKING:
    from aboard.checkpoint.chat_template import ChatTemplate
    from aboard.checkpoint.tokenizer import Tokenizer

Ids = npt.NDArray[np.int32]
Generate = Callable[[Sequence[Sequence[int]], int, int], list[list[int]]]
"""What the model writes itself: continuations of beginnings, of so many tokens at most each, drawn
by fixed seeds. The last number: how many tokens are missing in all."""

WINDOW = 512
N_TOKENS = 32768
_HELD_OUT_OF = 8  # one window of so many
_BEGINNING = 4  # tokens of a text that the model goes on with


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Windows of tokens, each computed by itself.

    Attributes
    ----------
    windows : (B, T) int32
        Tokens; those that are held out stand at the end.
    n_held_out : int
        How many windows choose among methods and decide no error feedback.
    sources : mapping of str to int
        How many tokens came from where.
    """

    windows: npt.NDArray[np.int32]
    n_held_out: int
    sources: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.n_held_out < self.windows.shape[0]:
            raise UsageError(
                f"{self.windows.shape[0]} windows of calibration text, of which {self.n_held_out} "
                "are held out: expected one of either kind at least"
            )

    @property
    def sha256(self) -> str:
        """The hash of the tokens, little-endian int32 behind B and T, 64 hexadecimal digits."""
        digest = hashlib.sha256(np.array(self.windows.shape, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.windows, "<i4").tobytes())
        return digest.hexdigest()


def calibrate(
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    *,
    texts: Mapping[str, str] | None = None,
    generate: Generate | None = None,
    n_tokens: int = N_TOKENS,
    window: int = WINDOW,
) -> Calibration:
    """The calibration of a model: the built-in texts, the user's, and what it writes itself.

    Parameters
    ----------
    tokenizer : Tokenizer
        The model's.
    template : ChatTemplate, optional
        The model's: conversations are written by it. Without it, as plain text.
    texts : mapping of str to str, optional
        The user's texts by their names. They take what the built-in ones leave; of longer ones,
        parts from all over them.
    generate : callable, optional
        Lets the model write what is still missing.
    n_tokens : int
        How many tokens there are to be at most.
    window : int
        Tokens of a window.

    Raises
    ------
    UsageError
        A text has less than a window of tokens, or all together less than two.
    TokenizerError
        The tokenizer can't be used.
    """
    tokens = {"built in": _built_in(tokenizer, template)[:n_tokens]}
    left = n_tokens - tokens["built in"].size // window * window
    share = left
    for name, text in (texts or {}).items():
        tokens[name] = _of_user(tokenizer, name, text, share // len(texts or {}), window)
        left -= tokens[name].size // window * window
    if generate is not None and left >= window:
        tokens["generated"] = _generated(tokenizer, template, generate, left // window * window)
    return calibration_of(tokens, window)


def _built_in(tokenizer: Tokenizer, template: ChatTemplate | None) -> Ids:
    """All built-in texts, conversations among them."""
    ids: list[int] = []
    talks = list(conversations())
    texts = documents()
    for place, text in enumerate(texts):
        ids += tokenizer.encode(text, parse_special=False)
        while talks and len(talks) * len(texts) > (len(texts) - place - 1) * len(conversations()):
            ids += _written_down(talks.pop(0), tokenizer, template)
    return np.array(ids, np.int32)


def _written_down(
    talk: Conversation, tokenizer: Tokenizer, template: ChatTemplate | None
) -> list[int]:
    """A conversation as the model's template writes it; as plain text where it refuses."""
    if template is not None:
        try:
            return tokenizer.encode(
                template.render(talk, add_generation_prompt=False), add_special=False
            )
        except TemplateError:  # no system message, perhaps: Gemma's templates refuse it
            pass
        rest = [message for message in talk if message["role"] != "system"]
        try:
            return tokenizer.encode(
                template.render(rest, add_generation_prompt=False), add_special=False
            )
        except TemplateError:
            pass
    plain = "\n".join(f"{message['role']}: {message['content']}" for message in talk)
    return tokenizer.encode(plain + "\n", parse_special=False)


def _of_user(tokenizer: Tokenizer, name: str, text: str, n_tokens: int, window: int) -> Ids:
    """`n_tokens` of the user's text at most, in windows from all over it."""
    ids = np.array(tokenizer.encode(text, parse_special=False), np.int32)
    if ids.size < window:
        raise UsageError(
            f"{name}: the calibration text has {ids.size} tokens, expected {window} at least",
            hint="Give more text, or none: there is some built in.",
        )
    windows = ids[: ids.size // window * window].reshape(-1, window)
    taken = min(windows.shape[0], max(n_tokens // window, 1))
    return windows[np.arange(taken) * windows.shape[0] // taken].reshape(-1)


def _generated(
    tokenizer: Tokenizer, template: ChatTemplate | None, generate: Generate, n_tokens: int
) -> Ids:
    """`n_tokens` that the model writes, going on from the first words of the built-in texts."""
    ids: list[int] = []
    for beginnings in _rounds(tokenizer, template):
        answers = generate(beginnings, WINDOW, n_tokens - len(ids))
        for beginning, answer in zip(beginnings, answers, strict=True):
            ids += [*beginning, *answer]
        if len(ids) >= n_tokens:
            break
    if len(ids) < n_tokens:
        ids = ids[: len(ids) // WINDOW * WINDOW]
    return np.array(ids[:n_tokens], np.int32)


def _rounds(
    tokenizer: Tokenizer, template: ChatTemplate | None, n_rounds: int = 4
) -> Iterator[list[list[int]]]:
    """Beginnings of texts, other ones in each round."""
    texts = [tokenizer.encode(text, parse_special=False) for text in documents()]
    asked = []
    if template is not None:
        for talk in conversations():
            question = [message for message in talk if message["role"] == "user"][:1]
            with contextlib.suppress(TemplateError):  # one that refuses what others take
                asked.append(tokenizer.encode(template.render(question), add_special=False))
    for number in range(n_rounds):
        begun = [text[: _BEGINNING + 2 * number] for text in texts[number::n_rounds]]
        yield begun if number else asked + begun


def calibration_of(
    tokens: Mapping[str, npt.NDArray[np.int32]], window: int = WINDOW
) -> Calibration:
    """Whole windows of `tokens`, the rest of each source being left out; every eighth is held out.

    Parameters
    ----------
    tokens : mapping of str to (n,) int32
        Token ids by source.
    window : int
        Tokens of a window.

    Raises
    ------
    UsageError
        There are fewer than two windows.
    """
    whole = {name: ids[: ids.size // window * window] for name, ids in tokens.items()}
    windows = np.concatenate(list(whole.values())).reshape(-1, window)
    if windows.shape[0] < 2:
        total = sum(ids.size for ids in tokens.values())
        raise UsageError(
            f"the calibration text has {total} tokens, expected {2 * window} at least, "
            f"and better {N_TOKENS}",
            hint="Give more text.",
        )
    held_out = np.arange(windows.shape[0]) % _HELD_OUT_OF == min(1, _HELD_OUT_OF - 1)
    return Calibration(
        windows=np.ascontiguousarray(np.concatenate([windows[~held_out], windows[held_out]])),
        n_held_out=int(held_out.sum()),
        sources={name: int(ids.size) for name, ids in whole.items()},
    )
