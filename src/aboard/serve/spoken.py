"""What an answer has said so far, and which of its tokens said it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.engine import Step


@dataclass(frozen=True, slots=True)
class Said:
    """A token, and where in the answer its text begins."""

    step: Step
    offset: int


@dataclass(slots=True)
class Piece:
    """Text that came together, and the tokens that it is of."""

    text: str = ""
    tokens: list[Said] = field(default_factory=list)


class Spoken:
    """Follows one answer.

    Text is held back while it may be the beginning of a stop text, and a character's bytes may be
    spread over tokens. A token comes with the piece in which its text begins; one whose text was
    left out, for it belongs to a stop text or ends the answer, never comes.

    Parameters
    ----------
    tokenizer : Tokenizer
        Of the model that answers.
    tokens : bool
        Whether pieces have their tokens; it takes time to follow them.
    """

    def __init__(self, tokenizer: Tokenizer, *, tokens: bool) -> None:
        self._follows = tokens
        self._raw = tokenizer.stream(continues=True)
        self._n_raw = self._n_shown = 0
        self._held: deque[Said] = deque()

    def take(self, steps: Iterable[Step]) -> Piece:
        """What some more steps show."""
        if not self._follows:
            return Piece("".join(step.text for step in steps))
        piece = Piece()
        for step in steps:
            self._held.append(Said(step, self._n_raw))
            self._n_raw += len(self._raw.push(step.token))
            piece.text += step.text
        self._n_shown += len(piece.text)
        while self._held and self._held[0].offset < self._n_shown:
            piece.tokens.append(self._held.popleft())
        return piece


def written(piece: bytes, *, escape: str = "") -> str:
    """A token as text; `escape` and its bytes in hexadecimal where it is no whole characters."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return escape + "".join(f"\\x{byte:02x}" for byte in piece)
