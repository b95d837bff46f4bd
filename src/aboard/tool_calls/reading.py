"""Calls found in an answer as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aboard.tool_calls.tool import NAME

if TYPE_CHECKING:
    from aboard.tool_calls.form import CallForm


@dataclass(frozen=True, slots=True)
class Text:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A call of a tool begins."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the arguments of the last call, as JSON."""

    text: str


Part: TypeAlias = Text | Begun | Arguments


class CallReader:
    """Reads one answer of a model whose calls have the form `form`.

    It relies on the grammar of `grammar_of`: an answer that isn't held to it may have a trigger
    behind which no call comes, and what follows is lost.

    Parameters
    ----------
    form : CallForm
    stop : iterable of str
        Texts that end the text; they are no part of it.

    Attributes
    ----------
    n_before : int
        Characters at the beginning of an answer of text that are no part of it.
    n_calls : int
        Calls that are whole.
    stopped : str or None
        The stop text that was found.
    """

    def __init__(self, form: CallForm, stop: Iterable[str] = ()) -> None:
        self._form = form
        self._stop = tuple(stop)
        self._left = ""  # what is read next
        self._depth = 0
        self._quoted = self._escaped = False
        self.n_before = len(form.text_begins)
        self.n_calls = 0
        self.stopped: str | None = None
        self._read: Callable[[list[Part]], bool] = self._beginning if form.prompted else self._text
        self._first = not form.anywhere

    def push(self, text: str) -> list[Part]:
        """What is known once `text` is there, too."""
        self._left += text
        parts: list[Part] = []
        while self._read(parts):
            pass
        return parts

    def finish(self) -> list[Part]:
        """What was held back, when nothing follows."""
        parts: list[Part] = []
        if self._read == self._text:
            self._read = self._words  # what may be the beginning of a trigger is none
            self._words(parts)
        if self._read == self._words:
            self._say(parts, self._left)
        self._left = ""
        return parts

    # Each takes from what is left, and tells whether there may be more to take.

    def _beginning(self, parts: list[Part]) -> bool:
        """Behind a trigger that was part of the prompt: text, or a name."""
        begins = self._form.text_begins
        if self._left.startswith(begins):
            self._left = self._left[len(begins) :]
            self._read = self._text
            return True
        if begins.startswith(self._left):
            return False
        self._read = self._name
        return True

    def _text(self, parts: list[Part]) -> bool:
        """Text up to a trigger or a stop text."""
        triggers = self._form.triggers
        if self._first:
            trigger = next((each for each in triggers if self._left.startswith(each)), None)
            if trigger is None:
                if any(each.startswith(self._left) for each in triggers):
                    return False
                self._read = self._words
                return True
            at = 0
        else:
            at, trigger = _first_of(self._left, triggers)
        ends = len(self._left) if trigger is None else at
        stopped, stop = _first_of(self._left[:ends], self._stop)
        if stop is not None:
            return self._end(parts, stopped, stop)
        if trigger is None:
            return self._show(parts, (*triggers, *self._stop), blank=True)
        self._say(parts, self._left[:at].rstrip())
        self._left = self._left[at + len(trigger) :]
        self._read = self._literal(self._form.opening, self._name)
        return True

    def _words(self, parts: list[Part]) -> bool:
        """Text in which no trigger counts."""
        at, stop = _first_of(self._left, self._stop)
        if stop is not None:
            return self._end(parts, at, stop)
        return self._show(parts, self._stop, blank=False)

    def _show(self, parts: list[Part], ends: tuple[str, ...], *, blank: bool) -> bool:
        """Let through what can't belong to one of `ends`, or to the blanks before it."""
        held = max((_overlap(self._left, each) for each in ends), default=0)
        shown = self._left[: len(self._left) - held]
        if blank:
            shown = shown.rstrip()
        self._say(parts, shown)
        self._left = self._left[len(shown) :]
        return False

    def _end(self, parts: list[Part], at: int, stop: str) -> bool:
        self._say(parts, self._left[:at])
        self.stopped, self._left = stop, ""
        self._read = self._nothing
        return False

    def _nothing(self, parts: list[Part]) -> bool:
        self._left = ""
        return False

    @staticmethod
    def _say(parts: list[Part], text: str) -> None:
        if text:
            parts.append(Text(text))

    def _literal(
        self, text: str, following: Callable[[list[Part]], bool]
    ) -> Callable[[list[Part]], bool]:
        """What takes as many characters as `text` has."""

        def read(parts: list[Part]) -> bool:
            if len(self._left) < len(text):
                return False
            self._left = self._left[len(text) :]
            self._read = following
            return True

        return read

    def _name(self, parts: list[Part]) -> bool:
        found = NAME.match(self._left)
        end = found.end() if found else 0
        if end == len(self._left):
            return False
        form = self._form
        parts.append(Begun(self._left[:end]))
        self._left = self._left[end:]
        told = "0" * 9 if form.before_id else ""
        self._depth, self._quoted, self._escaped = 0, False, False
        self._read = self._literal(form.before_id + told + form.before_arguments, self._arguments)
        return True

    def _arguments(self, parts: list[Part]) -> bool:
        """An object of JSON, to its last brace."""
        for at, character in enumerate(self._left):
            if self._quoted:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._quoted = False
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    parts.append(Arguments(self._left[: at + 1]))
                    self._left = self._left[at + 1 :]
                    self._read = self._last_id
                    return True
        if self._left:
            parts.append(Arguments(self._left))
        self._left = ""
        return False

    def _last_id(self, parts: list[Part]) -> bool:
        """Behind the arguments: an id, where the model writes one there, and the call's end."""
        before, closing = self._form.before_last_id, self._form.closing
        if before and self._left.startswith(before):
            closing = before + "0" * 9 + '"' + closing
        elif before and before.startswith(self._left):
            return False
        self._read = self._literal(closing, self._behind)
        return True

    def _behind(self, parts: list[Part]) -> bool:
        """Behind a whole call: another, or the end."""
        self.n_calls += 1
        self._read = self._between
        return True

    def _between(self, parts: list[Part]) -> bool:
        again = self._form.again
        if again is None or not self._left.startswith(again):
            return False
        self._left = self._left[len(again) :]
        self._read = self._name
        return True


def _first_of(text: str, searched: Iterable[str]) -> tuple[int, str | None]:
    """Where the first of `searched` begins in `text`, and which it is."""
    found = [(at, each) for each in searched if (at := text.find(each)) >= 0]
    return min(found, key=lambda place: (place[0] + len(place[1]), place[0]), default=(0, None))


def _overlap(text: str, end: str) -> int:
    """Length of the longest end of `text` that `end` begins with."""
    most = min(len(text), len(end) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(end[:n])), 0)
