"""Stop texts: where an answer ends before the model says so."""

from __future__ import annotations

from collections.abc import Iterable

from aboard.errors import UsageError


class StopTexts:
    """Lets text through until one of the stop texts appears; that one is not let through.

    Text that may be the beginning of a stop text is held back until it is known.

    Parameters
    ----------
    texts : iterable of str
        Each at least one character.

    Attributes
    ----------
    texts : tuple of str
        The same.

    Raises
    ------
    UsageError
        One is empty or no text.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        if not isinstance(texts, Iterable):
            raise UsageError(f"stop texts are {texts!r:.80}, expected an iterable of texts")
        self.texts = (texts,) if isinstance(texts, str) else tuple(texts)
        for text in self.texts:
            if not isinstance(text, str) or not text:
                raise UsageError(f"a stop text is {text!r}, expected at least one character")
        self._held = ""
        self.found: str | None = None
        """The stop text that has appeared; of several at one place, the one given first."""

    def push(self, text: str) -> str:
        """What of the text so far may be shown now."""
        if self.found is not None:
            return ""
        text = self._held + text
        places = [at for each in self.texts if (at := text.find(each)) >= 0]
        if places:
            end, self._held = min(places), ""
            self.found = next(each for each in self.texts if text.startswith(each, end))
            return text[:end]
        shown = len(text) - self._possible_start(text)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """What was held back, when nothing follows."""
        held, self._held = self._held, ""
        return held

    def _possible_start(self, text: str) -> int:
        """Length of the longest end of `text` that a stop text begins with."""
        longest = 0
        for each in self.texts:
            for length in range(min(len(each) - 1, len(text)), longest, -1):
                if text.endswith(each[:length]):
                    longest = length
                    break
        return longest
