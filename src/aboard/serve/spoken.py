"""What an answer has said so far, and which of its tokens said it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aboard.tool_calls import Arguments, Begun, Text

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.engine import Step
    from aboard.tool_calls import CallReader, Part


@dataclass(frozen=True, slots=True)
class Said:
    """A token, and where in the answer its text begins."""

    step: Step
    offset: int


@dataclass(slots=True)
class Piece:
    """Text that came together, the tokens that it is of, and what comes of calls behind it."""

    text: str = ""
    tokens: list[Said] = field(default_factory=list)
    calls: list[Begun | Arguments] = field(default_factory=list)


class Spoken:
    """Follows one answer.

    Text is held back while it may be the beginning of a stop text or of a call, and a character's
    bytes may be spread over tokens. A token comes with the piece in which its text begins; one
    whose text was left out, for it belongs to a stop text or a call or ends the answer, never
    comes.

    Parameters
    ----------
    tokenizer : Tokenizer
        Of the model that answers.
    tokens : bool
        Whether pieces have their tokens; it takes time to follow them.
    reader : CallReader, optional
        What finds the calls, where there may be some.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, tokens: bool, reader: CallReader | None = None
    ) -> None:
        self._follows = tokens
        self._reader = reader
        self._stop_ids = tokenizer.stop_ids
        self._raw = tokenizer.stream(skip_special=reader is None, continues=True)
        self._n_raw = 0
        self._n_shown = 0 if reader is None else reader.n_before
        self._held: deque[Said] = deque()

    @property
    def n_calls(self) -> int:
        """How many calls are whole."""
        return 0 if self._reader is None else self._reader.n_calls

    @property
    def stopped(self) -> str | None:
        """The stop text that the reader found."""
        return None if self._reader is None else self._reader.stopped

    def take(self, steps: Iterable[Step], *, ended: bool) -> Piece:
        """What some more steps show; `ended` where they are the last."""
        if self._reader is None and not self._follows:
            return Piece("".join(step.text for step in steps))
        piece = Piece()
        for step in steps:
            self._add(piece, step)
        if self._reader is not None and ended:
            self._sort(piece, self._reader.push(self._raw.finish()))
            self._sort(piece, self._reader.finish())
        self._n_shown += len(piece.text)
        while self._follows and self._held and self._held[0].offset < self._n_shown:
            piece.tokens.append(self._held.popleft())
        return piece

    def _add(self, piece: Piece, step: Step) -> None:
        if self._reader is not None and step.token in self._stop_ids:
            return
        text = self._raw.push(step.token)
        said = Said(step, self._n_raw)
        self._n_raw += len(text)
        if self._reader is None:
            piece.text += step.text
        else:
            self._sort(piece, self._reader.push(text))
        if self._reader is None or said.offset >= self._reader.n_before:
            self._held.append(said)

    @staticmethod
    def _sort(piece: Piece, parts: Iterable[Part]) -> None:
        for part in parts:
            if isinstance(part, Text):
                piece.text += part.text
            else:
                piece.calls.append(part)


def written(piece: bytes, *, escape: str = "") -> str:
    """A token as text; `escape` and its bytes in hexadecimal where it is no whole characters."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return escape + "".join(f"\\x{byte:02x}" for byte in piece)
