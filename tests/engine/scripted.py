"""Answers whose tokens the test chooses: the session runs for real, only the draw is scripted."""

from collections.abc import Iterable

from aboard.engine.sampling import Draw, Sampling

END_OF_TURN = 258  # of the tiny models, whose tokens 0 to 255 are bytes


class Script(Sampling):
    """Draws the tokens it is given, one after the other, then ends the turn.

    `seen` are the context, the position and the length of the prompt at each draw.
    """

    def __init__(self, tokens: Iterable[int], **fields: float) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "_script", iter(tokens))
        object.__setattr__(self, "seen", [])

    def draw(
        self, logits: object, context: Iterable[int] = (), position: int = 0, **options: int
    ) -> Draw:
        self.seen.append((list(context), position, options["n_prompt"]))
        return Draw(next(self._script, END_OF_TURN), -1.0)


def says(text: str) -> Script:
    """A script of the bytes of `text`."""
    return Script(text.encode())
