"""What stands between the values of a JSON text, with as much white space as people write.

One space or one line end with an indentation, after brackets and commas and before closing
brackets; one space after a colon. Without a bound, a model that only writes line ends would never
finish.

Every text is cut in the same way, whatever it is read as: llguidance takes the longest terminal
that may stand at a place, and doesn't come back to a shorter one.
"""

from __future__ import annotations

from aboard.constrain.language.characters import of
from aboard.constrain.language.expression import (
    choice,
    letters,
    literal,
    optional,
    repeat,
    sequence,
)
from aboard.constrain.schema.productions import Text

MAX_INDENTATION = 64

_LINE = sequence(
    optional(literal("\r")), literal("\n"), repeat(letters(of(" \t")), 0, MAX_INDENTATION)
)
_SPACE = optional(choice(literal(" "), _LINE))

COMMA = Text(sequence(literal(","), _SPACE))
OPEN_ARRAY = Text(sequence(literal("["), _SPACE))
CLOSE_ARRAY = Text(sequence(_SPACE, literal("]")))
OPEN_OBJECT = Text(sequence(literal("{"), _SPACE))
CLOSE_OBJECT = Text(sequence(_SPACE, literal("}")))


COLON = Text(sequence(literal(":"), optional(literal(" "))))
