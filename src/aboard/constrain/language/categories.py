"""The general categories of Unicode, as `\\p{...}` names them; of the version that Python knows."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache
from itertools import groupby

from aboard.constrain.language import characters
from aboard.constrain.language.characters import Ranges

# Of each group, its names and those of its categories: UAX #44, table 12.
_GROUPS = """
L Letter: Lu Uppercase_Letter, Ll Lowercase_Letter, Lt Titlecase_Letter, Lm Modifier_Letter,
    Lo Other_Letter
LC Cased_Letter: Lu Uppercase_Letter, Ll Lowercase_Letter, Lt Titlecase_Letter
M Mark Combining_Mark: Mn Nonspacing_Mark, Mc Spacing_Mark, Me Enclosing_Mark
N Number: Nd Decimal_Number digit, Nl Letter_Number, No Other_Number
P Punctuation punct: Pc Connector_Punctuation, Pd Dash_Punctuation, Ps Open_Punctuation,
    Pe Close_Punctuation, Pi Initial_Punctuation, Pf Final_Punctuation, Po Other_Punctuation
S Symbol: Sm Math_Symbol, Sc Currency_Symbol, Sk Modifier_Symbol, So Other_Symbol
Z Separator: Zs Space_Separator, Zl Line_Separator, Zp Paragraph_Separator
C Other: Cc Control cntrl, Cf Format, Cn Unassigned, Co Private_Use
"""


def _named() -> dict[str, frozenset[str]]:
    """Every name's categories, by their short names."""
    found: dict[str, frozenset[str]] = {}
    for line in _GROUPS.replace(",\n    ", ", ").strip().splitlines():
        names, _, categories = line.partition(":")
        each = [category.split() for category in categories.split(",")]
        found |= {name: frozenset({group[0]}) for group in each for name in group}
        found |= {name: frozenset(group[0] for group in each) for name in names.split()}
    return found


CATEGORIES = _named()


@lru_cache(maxsize=64)
def of_category(name: str) -> Ranges | None:
    """The characters of a category, by any of its names; None where there is no such name."""
    wanted = CATEGORIES.get(name)
    if wanted is None:
        return None
    return characters.ranges(pair for each in sorted(wanted) for pair in _runs()[each])


@lru_cache(maxsize=1)
def _runs() -> dict[str, list[tuple[int, int]]]:
    """Of each category, runs of characters: looked up for all at once, which takes 0.2 s."""
    found: dict[str, list[tuple[int, int]]] = {}
    code = 0
    for category, run in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))):
        end = code + sum(1 for _ in run)
        found.setdefault(category, []).append((code, end - 1))
        code = end
    return found
